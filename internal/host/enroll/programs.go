package enroll

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// helper is the keys helper, cmd/sallyport-keys. scripts/build builds it first and has the compiler read it in place of
// the file here, which is empty. So a plain `go build` needs nothing done before, and makes programs that do all but
// enroll.
//
//go:embed sallyport-keys
var helper []byte

// maxProgram bounds the size of the program to install, in bytes.
const maxProgram = 256 << 20

// agentProgram returns the path at which an enrollment's sallyport-host is installed.
func agentProgram(directory string) string {
	if directory == host.DefaultDirectory {
		return "/usr/lib/sallyport/sallyport-host"
	}
	return filepath.Join(directory, "sallyport-host")
}

// helperProgram returns the path at which an enrollment's keys helper is installed.
func helperProgram(directory string) string {
	return filepath.Join(filepath.Dir(agentProgram(directory)), "sallyport-keys")
}

// checkBuild returns an error if this program was built without the keys helper.
func checkBuild() error {
	if len(helper) == 0 {
		return fault.New(fault.Unsupported, fault.Enrollment,
			"This program was built without the keys helper that sshd is to run. Build it with `make build`.")
	}
	return nil
}

// installed is a program of an enrollment, with its path.
type installed struct {
	path    string
	content []byte
}

// programs returns the programs to install for the enrollment in the directory.
func programs(directory, program string) ([]installed, error) {
	info, err := os.Stat(program)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxProgram {
		return nil, fault.Wrap(err, fault.NotFound, fault.Program, "The program sallyport-host is not at %s.", program)
	}
	content, err := os.ReadFile(program)
	return []installed{{agentProgram(directory), content}, {helperProgram(directory), helper}}, err
}

// UpToDate reports whether the enrollment in the directory has the programs that Repair would install.
func UpToDate(directory, program string) (bool, error) {
	wanted, err := programs(directory, program)
	if err != nil {
		return false, err
	}
	for _, p := range wanted {
		content, err := os.ReadFile(p.path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if !bytes.Equal(content, p.content) {
			return false, nil
		}
	}
	return true, nil
}

// install writes the programs to their paths, which sshd accepts.
func (e *enrollment) install(context.Context) error {
	wanted, err := programs(e.Directory, e.Program)
	if err != nil {
		return err
	}
	if err := e.manifest.makeDirectory(filepath.Dir(agentProgram(e.Directory))); err != nil {
		return err
	}
	for _, p := range wanted {
		if err := e.manifest.makeFile(p.path, p.content, 0o755); err != nil {
			return err
		}
	}
	return sshd.CheckSafePath(helperProgram(e.Directory))
}

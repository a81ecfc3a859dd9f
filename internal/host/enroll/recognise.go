package enroll

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// recognise makes a manifest of what is left of an enrollment whose own is lost, for instance after `rm -rf
// /etc/sallyport`; nil if there is nothing. It names only things that bear enrollment's mark, or whose path shows that
// they are enrollment's. The manifest is complete if the identity is still there.
func recognise(directory string) (*manifest, error) {
	m := &manifest{Version: manifestVersion, directory: directory}
	socket, spool := host.Places(directory)
	found := []change{}
	for _, program := range []string{agentProgram(directory), helperProgram(directory)} {
		if isThere(program) {
			found = append(found, change{Kind: madeFile, Path: program})
		}
	}
	config, loadErr := host.Load(directory)
	_, keyErr := host.LoadKey(directory)
	named := directory == host.DefaultDirectory && slices.ContainsFunc(host.Files(directory), isThere)
	if named || keyErr == nil || loadErr == nil { // in another directory a name alone, as agent.log, proves nothing
		found = append(found, change{Kind: madeIdentity, Path: directory})
	}
	if isOurUser(DefaultKeysUser) && directory == host.DefaultDirectory {
		found = append(found, change{Kind: madeUser, Name: DefaultKeysUser})
	}
	services, err := recogniseService(directory)
	if err != nil {
		return nil, err
	}
	settings, err := recogniseSettings(cmp.Or(config.SSHDConfig, sshd.DefaultConfig), directory)
	if err != nil {
		return nil, err
	}
	found = append(append(found, services...), settings...)
	if len(found) == 0 {
		return nil, nil
	}
	directories := []string{
		directory, filepath.Dir(filepath.Dir(spool)), filepath.Dir(spool), filepath.Dir(socket),
		filepath.Dir(agentProgram(directory)),
	}
	for _, path := range directories {
		m.Changes = append(m.Changes, change{Kind: madeDirectory, Path: path})
	}
	m.Changes = append(m.Changes, found...)
	m.Complete = loadErr == nil
	return m, nil
}

func isThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// recogniseService finds the agent's unit or init script by its content, and the agent itself by its record.
func recogniseService(directory string) ([]change, error) {
	var found []change
	if _, runs := agentDaemon("", directory).Running(); runs {
		found = append(found, change{Kind: madeProcess, Path: directory, Program: agentProgram(directory)})
	}
	for path, kind := range map[string]kind{unitPath(directory): madeService, initPath(directory): madeInit} {
		text, err := readIfThere(path)
		if err != nil {
			return nil, err
		}
		if bytes.Contains(text, []byte(serviceMark)) {
			service := change{Kind: kind, Path: path, Name: serviceName(directory)}
			found = append(found, change{Kind: madeFile, Path: path}, service)
		}
	}
	return found, nil
}

// recogniseSettings finds our lines in sshd's configuration by the mark that they begin with. sshd reloads once they
// are removed.
func recogniseSettings(config, directory string) ([]change, error) {
	var found []change
	dropIn := dropInPath(config, directory)
	text, err := readIfThere(dropIn)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(text), sshd.Mark) {
		found = append(found, change{Kind: madeFile, Path: dropIn})
	}
	if text, err = readIfThere(config); err != nil {
		return nil, err
	}
	block := sshd.FindBlock(string(text))
	if strings.Contains(block, dropIn) || strings.Contains(block, keysCommand(directory)) {
		found = append(found, change{Kind: madeBlock, Path: config, Text: block})
	}
	if len(found) == 0 {
		return nil, nil
	}
	reload := change{Kind: reloadedSSHD, Path: config}
	if server, err := sshd.Find(); err == nil {
		reload.Program = server.Program
	}
	return append([]change{reload}, found...), nil
}

// readIfThere reads a file. It returns nothing for a file that is missing or may not be read.
func readIfThere(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil, nil
	}
	return text, err
}

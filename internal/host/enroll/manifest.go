package enroll

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
)

// ManifestFile is the file in the enrollment's directory that records what enrollment changed on the machine.
const ManifestFile = "manifest.json"

// manifest is a journal. A change is written to it, durably, before it is made, and undoing a change that was never
// made does nothing. So whatever interrupts an enrollment, even SIGKILL, the manifest holds everything there is to
// undo. Rolling back, cleaning up after a crash and un-enrolling are the same operation.
type manifest struct {
	Version  int       `json:"version"`
	Started  time.Time `json:"started"`
	Complete bool      `json:"complete"` // the enrollment succeeded
	Changes  []change  `json:"changes"`

	directory string
}

const manifestVersion = 1

// change is one change of the machine. Kind determines which fields are used.
type change struct {
	Kind    kind      `json:"kind"`
	Path    string    `json:"path,omitempty"`
	Text    string    `json:"text,omitempty"`    // of a block
	Mtime   time.Time `json:"mtime,omitzero"`    // of the directory in which a file or directory was made
	Edited  time.Time `json:"edited,omitzero"`   // of the file before the block
	Before  string    `json:"before,omitempty"`  // SHA-256 of the file before the block
	Name    string    `json:"name,omitempty"`    // of a user or service
	Group   string    `json:"group,omitempty"`   // made with the user; empty if a group of that name existed before
	Program string    `json:"program,omitempty"` // sshd's
	PIDFile string    `json:"pidFile,omitempty"` // sshd's
}

// kind is the kind of a change.
type kind string

const (
	madeDirectory kind = "directory" // removed if empty
	madeFile      kind = "file"
	madeIdentity  kind = "identity" // the host's Files; Path is the enrollment
	madeBlock     kind = "block"    // text in front of somebody's file
	madeUser      kind = "user"
	madeService   kind = "systemd"
	madeInit      kind = "init"    // an init script
	madeProcess   kind = "process" // an agent that enrollment started itself; Path is its enrollment
	reloadedSSHD  kind = "sshd"    // recorded before sshd's files, so that its undo, one more reload, comes after theirs
)

// newManifest starts the journal of an enrollment.
func newManifest(directory string, now time.Time) *manifest {
	return &manifest{Version: manifestVersion, Started: now.UTC(), directory: directory}
}

// readManifest returns the directory's manifest. If that is lost, it returns one of what it can recognise of the
// enrollment, or nil if there is nothing.
func readManifest(directory string) (*manifest, error) {
	path := filepath.Join(directory, ManifestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return recognise(directory)
	}
	if err != nil {
		return nil, err
	}
	m := &manifest{directory: directory}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(m); err != nil || m.Version != manifestVersion {
		return nil, fault.Wrap(err, fault.WrongState, fault.Enrollment,
			"%s cannot be read by this release of sallyport-host: use the one that enrolled the machine.", path)
	}
	return m, nil
}

func (m *manifest) save() error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(filepath.Join(m.directory, ManifestFile), append(text, '\n'), 0o600)
}

// record adds a change to the journal. It must return before the change is made.
func (m *manifest) record(c change) error {
	m.Changes = append(m.Changes, c)
	if err := m.save(); err != nil {
		return fmt.Errorf("record the change before making it: %w", err)
	}
	return nil
}

// makeDirectory makes the directory and its missing parents, and records each.
func (m *manifest) makeDirectory(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fault.New(fault.WrongState, fault.Enrollment, "%s is in the way: it is not a directory.", path)
		}
		return nil
	}
	parent := filepath.Dir(path)
	if err := m.makeDirectory(parent); err != nil {
		return err
	}
	mtime, err := modTime(parent)
	if err != nil {
		return err
	}
	if err := m.record(change{Kind: madeDirectory, Path: path, Mtime: mtime}); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(path, 0o755) // whatever the umask
}

// makeFile records and writes a file that must not exist yet.
func (m *manifest) makeFile(path string, content []byte, mode fs.FileMode) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return inTheWay(path)
	}
	mtime, err := modTime(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := m.record(change{Kind: madeFile, Path: path, Mtime: mtime}); err != nil {
		return err
	}
	return durable.WriteFile(path, content, mode)
}

func inTheWay(path string) error {
	return fault.New(fault.Exists, fault.Enrollment,
		"%s exists already and was not written by this enrollment. Move it away and try again.", path)
}

// undo undoes the changes, the last first. A change that fails is reported and stays in the manifest; the others are
// undone all the same. When none is left, the manifest is removed, and its directory if that is empty.
func (m *manifest) undo(ctx context.Context, progress Progress) error {
	m.Complete = false
	return m.undoOnly(ctx, progress, func(change) bool { return true })
}

// undoOnly undoes the chosen changes.
func (m *manifest) undoOnly(ctx context.Context, progress Progress, chosen func(change) bool) error {
	var left []change
	var errs []error
	for _, c := range slices.Backward(m.Changes) {
		switch isHome := c.Kind == madeDirectory && c.Path == m.directory; {
		case !chosen(c), isHome && len(left) > 0:
			left = append(left, c)
			continue
		case isHome:
			errs = append(errs, m.remove())
		}
		if err := c.undo(ctx); err != nil {
			left = append(left, c)
			errs = append(errs, fmt.Errorf("%s: %w", c, err))
			progress.note(fmt.Sprintf("not undone: %s: %v", c, err))
			continue
		}
		progress.undone(c.String())
	}
	slices.Reverse(left)
	m.Changes = left
	if len(left) > 0 {
		errs = append(errs, m.save())
	}
	return errors.Join(errs...)
}

// remove removes the manifest itself.
func (m *manifest) remove() error {
	err := ignoreMissing(os.Remove(filepath.Join(m.directory, ManifestFile)))
	return errors.Join(err, os.RemoveAll(trialDirectory(m.directory)), durable.RemoveLeftovers(m.directory))
}

// String describes the change, for the progress of undoing it.
func (c change) String() string {
	switch c.Kind {
	case madeUser:
		return "user " + c.Name
	case madeService, madeInit:
		return "service " + c.Name
	case madeProcess:
		return "the agent's process"
	case madeIdentity:
		return "the agent's files"
	case reloadedSSHD:
		return "sshd's reload"
	case madeBlock:
		return "lines in " + c.Path
	}
	return c.Path
}

// lockDirectory prevents two enrollments of one directory at the same time. It leaves nothing behind. The manifest may
// only be relied on once the directory is locked.
func lockDirectory(directory string) (release func(), err error) {
	dir, err := os.Open(directory)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		dir.Close()
		return nil, fault.Wrap(err, fault.InUse, fault.Enrollment,
			"Another sallyport-host is enrolling or un-enrolling %s right now. Wait for it to end.", directory)
	}
	locked, err := dir.Stat()
	present, pathErr := os.Stat(directory)
	if err = errors.Join(err, pathErr); err == nil && os.SameFile(locked, present) {
		return func() { dir.Close() }, nil
	}
	dir.Close() // the previous holder of the lock has removed the directory
	if err != nil {
		return nil, err
	}
	return lockDirectory(directory)
}

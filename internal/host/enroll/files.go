package enroll

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

func modTime(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// setModTime restores a directory's or file's modification time. A missing path is no error, nor is a read-only file
// system: nothing has changed there.
func setModTime(path string, mtime time.Time) error {
	if mtime.IsZero() {
		return nil
	}
	err := os.Chtimes(path, time.Time{}, mtime)
	if errors.Is(err, syscall.EROFS) {
		return nil
	}
	return ignoreMissing(err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// undoFile removes a file that enrollment made. It is no error if the file was never made, for instance on a read-only
// file system.
func (c change) undoFile() error {
	directory := filepath.Dir(c.Path)
	if _, err := os.Stat(directory); err != nil {
		return ignoreMissing(err)
	}
	if err := removeIfThere(c.Path); err != nil {
		return errors.Join(err, durable.RemoveLeftovers(directory))
	}
	return errors.Join(durable.RemoveLeftovers(directory), setModTime(directory, c.Mtime))
}

// removeIfThere removes a file or an empty directory. It checks first whether there is one, as a read-only file system
// refuses to remove even a missing file.
func removeIfThere(path string) error {
	if !isThere(path) {
		return nil
	}
	return os.Remove(path)
}

// undoDirectory removes a directory that enrollment made, if it is empty.
func (c change) undoDirectory() error {
	err := removeIfThere(c.Path)
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return errors.Join(err, setModTime(filepath.Dir(c.Path), c.Mtime))
}

// undoIdentity removes the files of the agent and of the machine's identity by name.
func (c change) undoIdentity() error {
	var errs []error
	for _, path := range host.Files(c.Path) {
		file := change{Kind: madeFile, Path: path}
		errs = append(errs, file.undoFile())
	}
	return errors.Join(errs...)
}

// addBlock records and makes a change that puts the block in front of the file.
func (m *manifest) addBlock(path, block string) error {
	path, err := filepath.EvalSymlinks(path) // edit the file, keep the link
	if err != nil {
		return err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	mtime, err := modTime(filepath.Dir(path))
	if err != nil {
		return err
	}
	edited, err := modTime(path)
	if err != nil {
		return err
	}
	err = m.record(change{
		Kind: madeBlock, Path: path, Text: block, Mtime: mtime, Edited: edited, Before: sum(content),
	})
	if err != nil {
		return err
	}
	return durable.Rewrite(path, []byte(sshd.Prepend(string(content), block)))
}

// undoBlock takes the block out. If that restores the file's old content, its old modification time is restored too.
func (c change) undoBlock() error {
	content, err := os.ReadFile(c.Path)
	if err != nil {
		return ignoreMissing(err)
	}
	directory := filepath.Dir(c.Path)
	if rest, ok := sshd.Remove(string(content), c.Text); ok {
		if err := durable.Rewrite(c.Path, []byte(rest)); err != nil {
			return fault.Wrap(err, fault.WrongState, fault.Enrollment,
				"%s cannot be written to take out the lines that enrollment put there", c.Path)
		}
		content = []byte(rest)
	}
	if sum(content) != c.Before {
		return durable.RemoveLeftovers(directory)
	}
	return errors.Join(durable.RemoveLeftovers(directory), setModTime(c.Path, c.Edited), setModTime(directory, c.Mtime))
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

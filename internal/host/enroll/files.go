package enroll

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/host/sshd"
)

// writeFile makes the file whole or not at all: written beside its place, made durable, moved there. It replaces
// a symbolic link instead of following it.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	return replace(path, content, func(file *os.File) error { return file.Chmod(mode) })
}

// rewriteFile is writeFile for somebody else's file: owner and mode stay as they are.
func rewriteFile(path string, content []byte) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	return replace(path, content, func(file *os.File) error {
		return errors.Join(file.Chown(int(stat.Uid), int(stat.Gid)), file.Chmod(info.Mode()))
	})
}

func replace(path string, content []byte, permit func(*os.File) error) error {
	directory := filepath.Dir(path)
	file, err := os.CreateTemp(directory, ".sallyport-new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // a no-op once it was moved
	err = permit(file)
	if err == nil {
		_, err = file.Write(content)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDirectory(directory)
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// removeLeftovers deletes what a killed writeFile left in a directory.
func removeLeftovers(directory string) error {
	left, err := filepath.Glob(filepath.Join(directory, ".sallyport-new-*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func modTime(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// setModTime puts the time back that a directory or file had. That the thing is gone is no error.
func setModTime(path string, mtime time.Time) error {
	if mtime.IsZero() {
		return nil
	}
	return ignoreMissing(os.Chtimes(path, time.Time{}, mtime))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// undoFile removes a file that we made.
func (c change) undoFile() error {
	directory := filepath.Dir(c.Path)
	err := ignoreMissing(os.Remove(c.Path))
	return errors.Join(err, removeLeftovers(directory), setModTime(directory, c.Mtime))
}

// undoDirectory removes a directory that we made if nobody put anything in it.
func (c change) undoDirectory() error {
	err := ignoreMissing(os.Remove(c.Path))
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return errors.Join(err, setModTime(filepath.Dir(c.Path), c.Mtime))
}

// undoTree removes a directory of ours with all that is in it.
func (c change) undoTree() error {
	return errors.Join(os.RemoveAll(c.Path), setModTime(filepath.Dir(c.Path), c.Mtime))
}

// addBlock puts the block in front of the file, as a change.
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
	if err := m.record(change{Kind: madeBlock, Path: path, Text: block, Mtime: mtime, Edited: edited, Before: sum(content)}); err != nil {
		return err
	}
	return rewriteFile(path, []byte(sshd.Prepend(string(content), block)))
}

// undoBlock takes the block out. The file's old time comes back with its old content.
func (c change) undoBlock() error {
	content, err := os.ReadFile(c.Path)
	if err != nil {
		return ignoreMissing(err)
	}
	directory := filepath.Dir(c.Path)
	if rest, ok := sshd.Remove(string(content), c.Text); ok {
		if err := rewriteFile(c.Path, []byte(rest)); err != nil {
			return fault.Wrap(err, fault.WrongState, "enrollment", "%s cannot be written to take out the lines that enrollment put there", c.Path)
		}
		content = []byte(rest)
	}
	if sum(content) != c.Before {
		return removeLeftovers(directory)
	}
	return errors.Join(removeLeftovers(directory), setModTime(c.Path, c.Edited), setModTime(directory, c.Mtime))
}

func sum(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}

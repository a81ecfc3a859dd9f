// Package durable replaces files as a whole. Whoever reads such a file, and whoever comes back after a crash, finds
// what it was or what it has become and nothing in between; and what a function returned from without an error is
// on the disk.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// prefix begins the names of files that are being written, beside the places they are for.
const prefix = ".sallyport-new-"

// WriteFile makes path a file with the content and the mode, whatever the umask, that belongs to who runs this. A
// symbolic link there is replaced, not followed. After an error path is as it was, unless all that failed was to sync
// its directory: then the new file is there, but a crash may bring the old one back.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return Replace(path, content, func(file *os.File) error { return file.Chmod(mode) })
}

// Rewrite is WriteFile for a file that is there, perhaps somebody else's: its owner and mode stay, and if root runs
// this its group. It refuses everything but a regular file; who wants a symbolic link to stay one resolves it first.
func Rewrite(path string, content []byte) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: it is not a regular file", path)
	}
	return Replace(path, content, func(file *os.File) error {
		if us := os.Geteuid(); us == 0 || us != int(stat.Uid) {
			err = file.Chown(int(stat.Uid), int(stat.Gid))
		}
		return errors.Join(err, file.Chmod(info.Mode()))
	})
}

// Replace is what the others are made of: permit sets the new file's owner and mode, before anything is in it and
// before it is at path. Until then nobody but its owner can read it.
func Replace(path string, content []byte, permit func(*os.File) error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	directory := filepath.Dir(path)
	file, err := os.CreateTemp(directory, prefix+"*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // gone already if all went well
	err = permit(file)
	if err == nil {
		_, err = file.Write(content)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDirectory(directory)
}

// syncDirectory makes the names in the directory durable.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// IsLeftover tells whether a file of that name is what a process left that was killed while it wrote.
func IsLeftover(name string) bool { return strings.HasPrefix(name, prefix) }

// RemoveLeftovers deletes what killed processes left in the directory. Nobody may be writing there.
func RemoveLeftovers(directory string) error {
	left, err := filepath.Glob(filepath.Join(directory, prefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

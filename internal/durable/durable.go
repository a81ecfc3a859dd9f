// Package durable replaces files as a whole. A reader, also one after a crash, finds the old content or the new, never
// anything in between. When a function returns without an error, its change is on the disk.
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

// prefix begins the names of files that are being written, in the directory of the files they will replace.
const prefix = ".sallyport-new-"

// WriteFile makes path a file with the content and mode, whatever the umask. The file belongs to the user who runs
// this. A symbolic link at path is replaced, not followed. After an error path is as it was, unless only the sync of
// its directory failed: then the new file is there, but a crash may bring the old one back.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return Replace(path, content, func(file *os.File) error { return file.Chmod(mode) })
}

// Rewrite is WriteFile for an existing file, perhaps another user's: its owner and mode stay, and its group if root
// runs this. It refuses everything but a regular file; a caller that wants to keep a symbolic link resolves it first.
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

// Replace implements the other functions. It calls permit to set the new file's owner and mode while the file is still
// empty and not yet at path. Until then only its owner can read it.
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
	defer os.Remove(file.Name()) // does nothing after the rename
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

// syncDirectory makes the directory's entries durable.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

// IsLeftover reports whether the name is that of a temporary file, left by a process that was killed while writing.
func IsLeftover(name string) bool { return strings.HasPrefix(name, prefix) }

// RemoveLeftovers deletes the temporary files that killed processes left in the directory. No other process may be
// writing there.
func RemoveLeftovers(directory string) error {
	left, err := filepath.Glob(filepath.Join(directory, prefix+"*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

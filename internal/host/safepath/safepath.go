// Package safepath holds programs to the rule that sshd holds its AuthorizedKeysCommand to. It imports little, as the
// keys helper does: see package keys.
package safepath

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Check reports whether sshd would run the program: it and every directory above it must belong to root, and nobody else
// may write to them (sshd_config(5), AuthorizedKeysCommand). What does not exist yet is passed over. Symbolic links are
// followed, as sshd does. The error names, as sentences, the component at fault and what mends it.
func Check(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New(path + " is not an absolute path, and sshd accepts no other.")
	}
	if strings.ContainsFunc(path, unusable) {
		return errors.New(strconv.Quote(path) + " has a character that sshd_config cannot hold in a command: " +
			"white space, quotes, '%', '#' or '\\'. Choose another path.")
	}
	resolved, err := resolveExisting(filepath.Clean(path))
	if err != nil {
		return err
	}
	for component := resolved; ; component = filepath.Dir(component) {
		info, err := os.Lstat(component)
		if err != nil {
			return err
		}
		if err := check(component, info); err != nil {
			return err
		}
		if component == "/" {
			return nil
		}
	}
}

// unusable tells which characters sshd would not take literally within AuthorizedKeysCommand.
func unusable(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"'%#\`, r) }

// resolveExisting follows the symbolic links of the longest part of the path that exists.
func resolveExisting(path string) (string, error) {
	for {
		resolved, err := filepath.EvalSymlinks(path)
		if err == nil || !os.IsNotExist(err) || path == "/" {
			return resolved, err
		}
		path = filepath.Dir(path)
	}
}

func check(component string, info fs.FileInfo) error {
	const refused = ", so sshd would refuse to run a command from there. Run: "
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case !ok || stat.Uid != 0:
		return errors.New(component + " does not belong to root" + refused + "chown root " + component)
	case mode&0o022 != 0:
		return errors.New(component + " can be written by others than root (mode 0" + strconv.FormatUint(uint64(mode), 8) + ")" +
			refused + "chmod go-w " + component)
	}
	return nil
}

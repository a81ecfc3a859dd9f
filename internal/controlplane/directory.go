package controlplane

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/iam"
)

// The files of a data directory.
const (
	DatabaseFile    = "sallyport.db" // SQLite, unless another database is configured
	AuthorityFile   = "ca.pem"       // the root certificate, for ca_bundle in clients' profiles
	AuthorityKey    = "ca.key"       // its key: whoever has it signs grants for every host
	SealFile        = "secrets.key"  // iam.SealKeySize bytes that seal the secrets in the database
	CredentialsFile = "credentials"  // the root user's access key, as an AWS profile
	lockFile        = "lock"
)

// directory is a locked data directory: no other process can open it until it is closed.
type directory struct {
	path string
	lock *os.File
}

// openDirectory locks the directory, which it creates if necessary.
func openDirectory(path string) (*directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	if err := closeToOthers(path); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another control plane runs on the data directory %s", path)
		}
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return &directory{path: path, lock: lock}, nil
}

// closeToOthers removes the permissions of group and others from a directory that is empty or a data directory. It
// refuses any other directory, probably a mistyped path; a directory of another user, who can read it whatever its
// mode; and one that others can write to, who may have put an authority of their own there.
func closeToOthers(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("the data directory %s belongs to another user, who could read the keys to every host in it. "+
			"Name another, or run this as its owner", path)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return fmt.Errorf("open the data directory: %w", err)
	}
	ours := func(e fs.DirEntry) bool { return e.Name() == AuthorityFile || e.Name() == lockFile }
	switch {
	case len(entries) > 0 && info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write to the data directory %s (mode %#o), "+
			"and who put there what it holds cannot be known. "+
			"Name another, or look at what is in it, then chmod 700 it", path, info.Mode().Perm())
	case len(entries) > 0 && !slices.ContainsFunc(entries, ours):
		return fmt.Errorf("the data directory %s has other things in it and can be read by others (mode %#o), "+
			"but it is to hold the keys to every host. Name another, or chmod 700 it", path, info.Mode().Perm())
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return fmt.Errorf("close the data directory to others: %w", err)
	}
	return nil
}

// deployed reports whether the directory has the keys of a deployment. They are written after the database has the
// account, so a database without an account does not belong to them.
func (d *directory) deployed() bool {
	return slices.ContainsFunc([]string{AuthorityKey, AuthorityFile, SealFile}, func(name string) bool {
		_, err := os.Lstat(d.file(name))
		return !errors.Is(err, fs.ErrNotExist)
	})
}

// errDatabaseMissing returns the error for a new database beside the keys of a deployment, whose root user, users and
// machines are in another database.
func (d *directory) errDatabaseMissing(database string) error {
	return fmt.Errorf("the keys of a deployment are in %[1]s, but its database is not in %[2]s. "+
		"Put the database back from a backup, or name the right one (--db), and start again. "+
		"If it is lost, a new deployment knows no user and no machine of the old one: "+
		"to begin one, move %[3]s, %[4]s, %[5]s and %[6]s out of %[1]s first, then enroll each machine anew",
		d.path, database, AuthorityKey, AuthorityFile, SealFile, CredentialsFile)
}

func (d *directory) close() error { return d.lock.Close() }

func (d *directory) file(name string) string { return filepath.Join(d.path, name) }

// authority reads the certificate authority, or makes it at the first start.
func (d *directory) authority(account string, now time.Time, random io.Reader) (*ca.Authority, error) {
	certificate, err := os.ReadFile(d.file(AuthorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return d.makeAuthority(account, now, random)
	}
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority: %w", err)
	}
	key, err := os.ReadFile(d.file(AuthorityKey))
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority's key: %w", err)
	}
	return ca.Load(certificate, key, random)
}

// makeAuthority makes an authority. It writes the key first: a key without a certificate is replaced at the next start,
// while a certificate without a key would be a dead end.
func (d *directory) makeAuthority(account string, now time.Time, random io.Reader) (*ca.Authority, error) {
	authority, err := ca.New(account, now, random)
	if err != nil {
		return nil, err
	}
	certificate, key := authority.PEM()
	if err := durable.WriteFile(d.file(AuthorityKey), key, 0o600); err != nil {
		return nil, err
	}
	return authority, durable.WriteFile(d.file(AuthorityFile), certificate, 0o644)
}

// sealKey reads the key that seals secrets in the database, or makes it at the first start.
func (d *directory) sealKey(random io.Reader) ([]byte, error) {
	key, err := os.ReadFile(d.file(SealFile))
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, iam.SealKeySize)
		if _, err := io.ReadFull(random, key); err != nil {
			return nil, fmt.Errorf("make the sealing key: %w", err)
		}
		return key, durable.WriteFile(d.file(SealFile), key, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read the sealing key: %w", err)
	}
	if len(key) != iam.SealKeySize || subtle.ConstantTimeCompare(key, make([]byte, iam.SealKeySize)) == 1 {
		return nil, fmt.Errorf("%s does not hold %d random bytes", d.file(SealFile), iam.SealKeySize)
	}
	return key, nil
}

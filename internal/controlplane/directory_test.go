package controlplane

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestDirectoryKeepsItsKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	first, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	authority, err := first.authority("123456789012", time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	seal, err := first.sealKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	want := RootCredentials{AccessKeyID: "AKIAEXAMPLE", Secret: "s/e+cret", Region: "a-1", Endpoint: "http://127.0.0.1:1"}
	if err := want.write(path); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{
		AuthorityKey: 0o600, SealFile: 0o600, CredentialsFile: 0o600, AuthorityFile: 0o644, ".": 0o700,
	} {
		info, err := os.Stat(filepath.Join(path, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: mode %v, %v; want %v", name, info.Mode().Perm(), err, mode)
		}
	}

	if _, err := openDirectory(path); err == nil || !strings.Contains(err.Error(), "another control plane") {
		t.Errorf("a second one opens the same directory: %v", err)
	}
	if err := first.close(); err != nil {
		t.Fatal(err)
	}
	second, err := openDirectory(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	again, err := second.authority("123456789012", time.Now(), rand.Reader)
	if err != nil || !again.Certificate().Equal(authority.Certificate()) {
		t.Errorf("another authority after a restart, %v", err)
	}
	sealAgain, err := second.sealKey(rand.Reader)
	if err != nil || !bytes.Equal(seal, sealAgain) {
		t.Errorf("another sealing key after a restart, %v", err)
	}
	got, err := ReadCredentials(path)
	if err != nil || got != want {
		t.Errorf("credentials %+v, %v", got, err)
	}
}

// Somebody who can put files where the control plane keeps its keys makes himself the authority of every host: in a
// directory of his own, or in one that others can write to.
func TestDirectoryOfOthers(t *testing.T) {
	planted := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(planted, AuthorityFile), []byte("his"), 0o644),
		os.Chmod(planted, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := openDirectory(planted); err == nil || !strings.Contains(err.Error(), "others can write") {
		t.Errorf("a directory that others can write to, with an authority in it: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "d") // mkdir d && sallyport serve --data d
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(empty)
	if err != nil {
		t.Fatalf("an empty directory of ours: %v", err)
	}
	if err := errors.Join(os.WriteFile(d.file(AuthorityFile), nil, 0o644), d.close(), os.Chmod(empty, 0o755)); err != nil {
		t.Fatal(err)
	}
	if d, err = openDirectory(empty); err != nil {
		t.Fatalf("our directory, whose mode somebody changed: %v", err)
	}
	d.close()
	if info, err := os.Stat(empty); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if os.Geteuid() != 0 {
		return // only root can change a file's owner
	}
	for _, mode := range []os.FileMode{0o700, 0o755} {
		his := t.TempDir()
		if err := errors.Join(os.Chmod(his, mode), os.Chown(his, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		if _, err := openDirectory(his); err == nil || !strings.Contains(err.Error(), "belongs to another user") {
			t.Errorf("somebody else's directory of mode %v: %v", mode, err)
		}
	}
}

func TestDirectoryRefuses(t *testing.T) {
	open := t.TempDir()
	if err := errors.Join(os.Chmod(open, 0o755), os.WriteFile(filepath.Join(open, "letter"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := openDirectory(open); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("somebody's directory, open to others: %v", err)
	}

	closed := t.TempDir()
	if err := os.Chmod(closed, 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(closed)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if info, err := os.Stat(closed); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("an empty directory is left open to others: %v, %v", info.Mode(), err)
	}
	if _, err := ReadCredentials(closed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("credentials out of nothing: %v", err)
	}
	for name, content := range map[string]string{
		SealFile: strings.Repeat("\x00", 32), CredentialsFile: "[sallyport]\naws_access_key_id = A\n",
	} {
		if err := os.WriteFile(d.file(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.sealKey(rand.Reader); err == nil {
		t.Error("a sealing key of zeros is accepted")
	}
	if _, err := ReadCredentials(closed); err == nil {
		t.Error("half credentials are accepted")
	}
	if err := os.WriteFile(d.file(AuthorityFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.authority("123456789012", time.Now(), rand.Reader); err == nil {
		t.Error("an authority without its key is accepted, or silently replaced")
	}
}

// Package awsprofile writes profiles into the files of AWS's clients, ~/.aws/config and ~/.aws/credentials, and takes
// them out again. These files are people's own: every byte that is not the profile's stays as it is.
package awsprofile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sallyport/sallyport/internal/durable"
)

// Files is where AWS clients keep their profiles.
type Files struct {
	Config      string // "~/.aws/config": sections "[profile NAME]"
	Credentials string // "~/.aws/credentials": sections "[NAME]"
}

// FromEnvironment returns the files of the user who runs this, or those that AWS_CONFIG_FILE and
// AWS_SHARED_CREDENTIALS_FILE name.
func FromEnvironment() Files {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "/"
	}
	files := Files{Config: filepath.Join(home, ".aws", "config"), Credentials: filepath.Join(home, ".aws", "credentials")}
	if path := os.Getenv("AWS_CONFIG_FILE"); path != "" {
		files.Config = path
	}
	if path := os.Getenv("AWS_SHARED_CREDENTIALS_FILE"); path != "" {
		files.Credentials = path
	}
	return files
}

// Profile is what an AWS client needs to know about a control plane.
type Profile struct {
	AccessKeyID string
	Secret      string
	Region      string
	EndpointURL string
	CABundle    string // path; empty where the endpoint is not https
}

// Write sets the profile in both files and leaves every other byte of them as it is. It tells whether
// anything had to be changed. Each file is replaced whole or not at all, and keeps its mode and owner. A name that
// could not be read back is refused.
func (f Files) Write(name string, p Profile) (changed bool, err error) {
	if read, ok := sectionName("[" + configSection(name) + "]"); !ok || read != configSection(name) || name == "" {
		return false, fmt.Errorf("%q cannot be the name of an AWS profile: use letters, digits and hyphens", name)
	}
	inCredentials, err := editFile(f.Credentials, func(text string) string {
		return setSection(text, credentialsSection(name), []setting{
			{"aws_access_key_id", p.AccessKeyID}, {"aws_secret_access_key", p.Secret}, {"aws_session_token", ""},
		})
	})
	if err != nil {
		return false, err
	}
	inConfig, err := editFile(f.Config, func(text string) string {
		return setSection(text, configSection(name), []setting{
			{"region", p.Region}, {"endpoint_url", p.EndpointURL}, {"ca_bundle", p.CABundle},
		})
	})
	return inCredentials || inConfig, err
}

// Remove takes the profile out of both files. That there is none is no error.
func (f Files) Remove(name string) error {
	_, first := editFile(f.Credentials, func(text string) string { return removeSection(text, credentialsSection(name)) })
	_, second := editFile(f.Config, func(text string) string { return removeSection(text, configSection(name)) })
	return errors.Join(first, second)
}

// Read returns the profile as far as the files have it; ok is false where neither has any of it.
func (f Files) Read(name string) (p Profile, ok bool) {
	for path, section := range map[string]string{f.Credentials: credentialsSection(name), f.Config: configSection(name)} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		lines := splitLines(string(text))
		start, end, found := findSection(lines, section)
		if !found {
			continue
		}
		ok = true
		for _, line := range lines[start+1 : end] {
			key, value, _ := keyValue(line)
			switch key {
			case "aws_access_key_id":
				p.AccessKeyID = value
			case "aws_secret_access_key":
				p.Secret = value
			case "region":
				p.Region = value
			case "endpoint_url":
				p.EndpointURL = value
			case "ca_bundle":
				p.CABundle = value
			}
		}
	}
	return p, ok
}

func credentialsSection(name string) string { return name }

func configSection(name string) string {
	if name == "default" {
		return name
	}
	return "profile " + name
}

// editFile replaces a file by what edit makes of its text, if that differs. A file that does not exist counts as
// empty, and one that is left empty goes; a symbolic link is followed.
func editFile(path string, edit func(string) string) (changed bool, err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("read the AWS profile: %w", err)
	}
	text := []byte(edit(string(old)))
	if bytes.Equal(old, text) {
		return false, nil
	}
	if len(text) == 0 {
		return true, os.Remove(path)
	}
	if err := writeFile(path, text); err != nil {
		return false, fmt.Errorf("write the AWS profile: %w", err)
	}
	return true, nil
}

// writeFile keeps a file's mode and owner. A new one nobody else may read, nor a new directory, and each belongs to the
// owner of the directory it is in: a profile in somebody's home that root writes must be theirs.
func writeFile(path string, text []byte) error {
	if _, err := os.Stat(path); err == nil {
		return durable.Rewrite(path, text)
	}
	directory := filepath.Dir(path)
	if err := makeDirectory(directory); err != nil {
		return err
	}
	info, err := os.Stat(directory)
	if err != nil {
		return err
	}
	return durable.Replace(path, text, func(file *os.File) error { return giveToOwner(file, info) })
}

// makeDirectory makes the directory and those above it that are missing.
func makeDirectory(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	// Whose directory it is may exchange what is in it at any moment: root must not be led to something else.
	parent, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer parent.Close()
	info, err := parent.Stat(".")
	if err != nil {
		return err
	}
	name := filepath.Base(path)
	if err := parent.Mkdir(name, 0o700); err != nil {
		return err
	}
	made, err := parent.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer made.Close()
	return giveToOwner(made, info)
}

// giveToOwner gives the file to the owner of something, if root runs this.
func giveToOwner(file *os.File, of fs.FileInfo) error {
	if owner, ok := of.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

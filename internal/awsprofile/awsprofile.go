// Package awsprofile writes profiles into the files of AWS's clients, ~/.aws/config and ~/.aws/credentials, and removes
// them again. These files belong to people: every byte outside the profile stays as it is.
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

// Files names the files in which AWS clients keep their profiles.
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

// Write sets the profile in both files, leaves every other byte of them as it is, and reports whether anything changed.
// Each file is replaced whole or not at all, and keeps its mode and owner. A name that could not be read back is
// refused.
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

// Remove removes the profile from both files. It is no error if there is none.
func (f Files) Remove(name string) error {
	_, first := editFile(f.Credentials, func(text string) string { return removeSection(text, credentialsSection(name)) })
	_, second := editFile(f.Config, func(text string) string { return removeSection(text, configSection(name)) })
	return errors.Join(first, second)
}

// Read returns the parts of the profile that the files hold; ok is false if they hold none.
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

// editFile replaces a file's text by what edit returns for it, if that differs. A missing file counts as empty, and a
// file left empty is removed. A symbolic link is followed.
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

// writeFile writes the file, keeping the mode and owner of one that exists. Only its owner can read a new file, or
// enter a new directory. Each belongs to the owner of the directory it is in: a profile that root writes in somebody's
// home must be theirs.
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

// makeDirectory makes the directory and its missing parents.
func makeDirectory(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	// The parent's owner may exchange its entries at any moment. Root must not follow one elsewhere.
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

// giveToOwner gives the file the owner of another, if root runs this.
func giveToOwner(file *os.File, of fs.FileInfo) error {
	if owner, ok := of.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		return file.Chown(int(owner.Uid), int(owner.Gid))
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"gopkg.in/ini.v1"
)

type configureCommand struct {
	Data string `required:"" type:"path" help:"The control plane's data directory; its credentials file is read." placeholder:"DIR"`
	Name string `default:"sallyport" help:"Name of the profile (${default})."`
}

// Help is shown by sallyport configure --help.
func (configureCommand) Help() string {
	return `Writes [NAME] into ~/.aws/credentials and [profile NAME] into ~/.aws/config (or AWS_SHARED_CREDENTIALS_FILE and
AWS_CONFIG_FILE). Nothing else in these files changes, and doing it twice changes nothing.

  sallyport configure --data /var/lib/sallyport/data
  aws --profile sallyport sts get-caller-identity`
}

func (c configureCommand) Run(term terminal) error {
	p, err := readCredentials(c.Data)
	if err != nil {
		return err
	}
	files := profileFilesFromEnvironment()
	changed, err := writeProfile(files, c.Name, p)
	if err != nil {
		return err
	}
	if !changed {
		fmt.Fprintf(term.out, "The profile %s was up to date in %s.\n", c.Name, files.Config)
		return nil
	}
	fmt.Fprintf(term.out, "Wrote the profile %s to %s and %s. Try:\n  aws --profile %s sts get-caller-identity\n", c.Name, files.Credentials, files.Config, c.Name)
	return nil
}

// readCredentials reads what a control plane left in its data directory.
func readCredentials(data string) (profile, error) {
	path := filepath.Join(data, "credentials")
	file, err := ini.Load(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return profile{}, fmt.Errorf("%s does not exist: is %s the data directory of a control plane that was started once?", path, data)
	case errors.Is(err, fs.ErrPermission):
		return profile{}, fmt.Errorf("%s may only be read by its owner: run this as the user who runs the control plane", path)
	case err != nil:
		return profile{}, fmt.Errorf("read the control plane's credentials: %w", err)
	}
	section := file.Section(defaultProfile)
	p := profile{
		AccessKeyID: section.Key("aws_access_key_id").String(),
		Secret:      section.Key("aws_secret_access_key").String(),
		Region:      section.Key("region").String(),
		EndpointURL: section.Key("endpoint_url").String(),
	}
	if p.AccessKeyID == "" || p.Secret == "" || p.EndpointURL == "" {
		return profile{}, fmt.Errorf("%s has no complete [%s] section", path, defaultProfile)
	}
	if endpoint, err := url.Parse(p.EndpointURL); err == nil && endpoint.Scheme == "https" {
		bundle, err := filepath.Abs(filepath.Join(data, "ca.pem"))
		if err != nil {
			return profile{}, err
		}
		if _, err := os.Stat(bundle); err == nil {
			p.CABundle = bundle
		}
	}
	return p, nil
}

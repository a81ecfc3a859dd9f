package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/awsprofile"
	"github.com/sallyport/sallyport/internal/controlplane"
)

// defaultProfile is the name of the AWS profile that the commands write and look for.
const defaultProfile = controlplane.ProfileName

type configureCommand struct {
	Data string `required:"" type:"path" help:"The control plane's data directory (for credentials)." placeholder:"DIR"`
	Name string `default:"sallyport" help:"Name of the profile (${default})."`
}

// Help returns the text of sallyport configure --help.
func (configureCommand) Help() string {
	return `Writes [NAME] into ~/.aws/credentials and [profile NAME] into ~/.aws/config (or AWS_SHARED_CREDENTIALS_FILE and
AWS_CONFIG_FILE). Nothing else in these files changes, and doing it twice changes nothing. A profile of that name for
another endpoint is left as it is.

  sallyport configure --data /var/lib/sallyport/data
  aws --profile sallyport sts get-caller-identity`
}

func (c configureCommand) Run(term terminal) error {
	p, err := readCredentials(c.Data)
	if err != nil {
		return err
	}
	files := awsprofile.FromEnvironment()
	changed, err := writeProfile(files, c.Name, p)
	if err != nil {
		return fmt.Errorf("%w; or choose another --name", err)
	}
	if !changed {
		fmt.Fprintf(term.out, "The profile %s was up to date in %s.\n", c.Name, files.Config)
		return nil
	}
	fmt.Fprintf(term.out, "Wrote the profile %s to %s and %s. Try:\n  aws --profile %s sts get-caller-identity\n",
		c.Name, files.Credentials, files.Config, c.Name)
	return nil
}

// writeProfile writes the profile. It does not replace one for another endpoint, whose secret would be lost. It does
// replace one for the same endpoint with another key, which an earlier control plane there left.
func writeProfile(files awsprofile.Files, name string, p awsprofile.Profile) (changed bool, err error) {
	there, _ := files.Read(name)
	used := there.AccessKeyID != "" || there.EndpointURL != ""
	if used && there.AccessKeyID != p.AccessKeyID && there.EndpointURL != p.EndpointURL {
		return false, fmt.Errorf(
			"the AWS profile %s in %s and %s is in use for %s. It was left as it is: rename or remove it there",
			name, files.Credentials, files.Config, cmp.Or(there.EndpointURL, "AWS itself"))
	}
	return files.Write(name, p)
}

// readCredentials makes a profile of the credentials in a control plane's data directory.
func readCredentials(data string) (awsprofile.Profile, error) {
	root, err := controlplane.ReadCredentials(data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return awsprofile.Profile{}, fmt.Errorf(
			"%s holds no credentials: is it the data directory of a control plane that was started once?", data)
	case errors.Is(err, fs.ErrPermission):
		return awsprofile.Profile{}, fmt.Errorf(
			"the credentials in %s may only be read by their owner: run this as the user who runs the control plane", data)
	case err != nil:
		return awsprofile.Profile{}, err
	}
	p := awsprofile.Profile{
		AccessKeyID: root.AccessKeyID, Secret: root.Secret, Region: root.Region, EndpointURL: root.Endpoint,
	}
	endpoint, err := url.Parse(root.Endpoint)
	if err != nil || endpoint.Host == "" {
		return awsprofile.Profile{}, fmt.Errorf(
			"the credentials in %s name no endpoint_url: start the control plane once more", data)
	}
	if endpoint.Scheme == "https" {
		bundle, err := filepath.Abs(filepath.Join(data, controlplane.AuthorityFile))
		if err != nil {
			return awsprofile.Profile{}, err
		}
		if _, err := os.Stat(bundle); err == nil {
			p.CABundle = bundle
		}
	}
	return p, nil
}

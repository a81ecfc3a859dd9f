package controlplane

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/ini.v1"

	"github.com/sallyport/sallyport/internal/durable"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/uuid"
)

// ProfileName is the name of the AWS profile in CredentialsFile.
const ProfileName = "sallyport"

// RootCredentials are the contents of CredentialsFile: the root user's access key, and where the API is.
type RootCredentials struct {
	AccessKeyID string
	Secret      string
	Region      string
	Endpoint    string // for clients on this machine
}

// ReadCredentials reads the CredentialsFile of a data directory. The error is fs.ErrNotExist (wrapped) before the first
// start, and fs.ErrPermission for everybody but the owner.
func ReadCredentials(data string) (RootCredentials, error) {
	path := filepath.Join(data, CredentialsFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return RootCredentials{}, fmt.Errorf("read the root credentials: %w", err)
	}
	file, err := ini.Load(text)
	if err != nil {
		return RootCredentials{}, fmt.Errorf("read the root credentials in %s: %w", path, err)
	}
	section := file.Section(ProfileName)
	c := RootCredentials{
		AccessKeyID: section.Key("aws_access_key_id").String(),
		Secret:      section.Key("aws_secret_access_key").String(),
		Region:      section.Key("region").String(),
		Endpoint:    section.Key("endpoint_url").String(),
	}
	if c.AccessKeyID == "" || c.Secret == "" {
		return RootCredentials{}, fmt.Errorf("%s has no complete [%s] section. "+
			"Put the access key back, or remove the file to get a new one", path, ProfileName)
	}
	return c, nil
}

// write replaces the file in the data directory.
func (c RootCredentials) write(data string) error {
	var text strings.Builder
	fmt.Fprintf(&text, "# The account's root user. Use it to make users and policies, then keep it safe.\n")
	fmt.Fprintf(&text, "[%s]\n", ProfileName)
	fmt.Fprintf(&text, "aws_access_key_id = %s\naws_secret_access_key = %s\n", c.AccessKeyID, c.Secret)
	fmt.Fprintf(&text, "region = %s\nendpoint_url = %s\n", c.Region, c.Endpoint)
	return durable.WriteFile(filepath.Join(data, CredentialsFile), []byte(text.String()), 0o600)
}

// keepCredentials makes sure that the root user has an access key and that CredentialsFile has it, with the present
// region and endpoint.
func (s *Server) keepCredentials(ctx context.Context) error {
	region := s.config.Regions[0]
	keep := func(key iam.IssuedKey) error {
		return RootCredentials{
			AccessKeyID: key.ID, Secret: key.PlainSecret.Reveal(), Region: region, Endpoint: s.endpoint,
		}.write(s.directory.path)
	}
	call := gate.Call{
		RequestID: uuid.New(s.clock.Now(), s.random), Source: "iam.amazonaws.com", Name: "CreateAccessKey", Region: region,
	}
	err := s.parts.gate.Write(ctx, s.parts.gate.Self(call), func(tx *gate.Tx) error {
		return s.parts.identities.EnsureRoot(tx, keep)
	})
	if err != nil {
		return err
	}
	kept, err := ReadCredentials(s.directory.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.log.Warn("the root user's access key is kept elsewhere: there is no credentials file in the data directory",
			"directory", s.directory.path)
		return nil
	case err != nil:
		return err
	case kept.Region == region && kept.Endpoint == s.endpoint:
		return nil
	}
	kept.Region, kept.Endpoint = region, s.endpoint
	return kept.write(s.directory.path)
}

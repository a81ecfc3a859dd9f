package host

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/durable"
)

// The types of the PEM blocks in KeyFile and AuthorityFile.
const (
	keyBlock       = "PRIVATE KEY"
	authorityBlock = "CERTIFICATE"
)

// SaveIdentity writes the key that authenticates the agent, which only root may read, and the DER of the certificate of
// the authority that the agent trusts.
func SaveIdentity(directory string, key ed25519.PrivateKey, authority []byte) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the agent's key: %w", err)
	}
	return errors.Join(
		durable.WriteFile(filepath.Join(directory, KeyFile),
			pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), 0o600),
		durable.WriteFile(filepath.Join(directory, AuthorityFile),
			pem.EncodeToMemory(&pem.Block{Type: authorityBlock, Bytes: authority}), 0o644),
	)
}

// LoadKey reads the key that authenticates the agent.
func LoadKey(directory string) (ed25519.PrivateKey, error) {
	path := filepath.Join(directory, KeyFile)
	der, err := readPEM(path, keyBlock)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key", path)
	}
	return key, nil
}

// LoadAuthority reads the certificate of the authority that was pinned at enrollment.
func LoadAuthority(directory string) (*x509.Certificate, error) {
	path := filepath.Join(directory, AuthorityFile)
	der, err := readPEM(path, authorityBlock)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return root, nil
}

func readPEM(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q", path, kind)
	}
	return block.Bytes, nil
}

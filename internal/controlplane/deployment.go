package controlplane

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/url"
	"os"

	"github.com/sallyport/sallyport/internal/db"
)

// Keys of what the database keeps about its deployment.
const (
	metaAccount   = "account"
	metaAuthority = "authority" // SHA-256 of the root's public key
	metaSeal      = "seal"      // SHA-256 of the sealing key, which is random, so the hash does not reveal it
)

// openDatabase opens the database. It does not create a missing embedded database of an old deployment: SQLite would
// remove the files left beside it, and the database may be put back.
func (s *Server) openDatabase(ctx context.Context) (err error) {
	location := s.config.Database
	if location == "" {
		path := s.directory.file(DatabaseFile)
		info, err := os.Stat(path)
		missing := errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
		if missing && s.directory.deployed() {
			return s.directory.errDatabaseMissing(path)
		}
		location = "sqlite:" + path
	}
	if s.database, err = db.Open(ctx, location, s.log); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return nil
}

// databaseName returns the database's name for people, without the password that a URL may have.
func (s *Server) databaseName() string {
	if s.config.Database == "" {
		return s.directory.file(DatabaseFile)
	}
	location, err := url.Parse(s.config.Database)
	if err != nil {
		return "the database that is configured"
	}
	return (&url.URL{Scheme: location.Scheme, Host: location.Host, Path: location.Path}).String()
}

// decideAccount returns the account number: the stored one, or else the configured one, or else a random one. It stores
// the number.
func (s *Server) decideAccount(ctx context.Context, random io.Reader) (string, error) {
	kept, err := s.database.Meta(ctx, metaAccount)
	if err != nil {
		return "", fmt.Errorf("read the account number: %w", err)
	}
	if kept != "" {
		if s.config.Account != "" && s.config.Account != kept {
			return "", fmt.Errorf("this deployment is account %s; its number cannot be changed to %s, as every ARN holds it",
				kept, s.config.Account)
		}
		return kept, nil
	}
	if s.directory.deployed() {
		return "", s.directory.errDatabaseMissing(s.databaseName())
	}
	account := s.config.Account
	if account == "" {
		// 12 digits, the first of which is not zero: spreadsheets and careless programs drop leading zeros.
		n, err := rand.Int(random, big.NewInt(900_000_000_000))
		if err != nil {
			return "", fmt.Errorf("draw an account number: %w", err)
		}
		account = fmt.Sprint(100_000_000_000 + n.Int64())
	}
	return account, s.database.SetMeta(ctx, metaAccount, account)
}

// belongTogether returns an error if the database was used with other keys: its hosts would not trust this control
// plane, and its secrets could not be opened.
func (s *Server) belongTogether(ctx context.Context, authority, seal []byte) error {
	for _, thing := range []struct {
		key, file string
		content   []byte
	}{{metaAuthority, AuthorityKey, authority}, {metaSeal, SealFile, seal}} {
		sum := sha256.Sum256(thing.content)
		mark := hex.EncodeToString(sum[:])
		kept, err := s.database.Meta(ctx, thing.key)
		if err != nil {
			return fmt.Errorf("read the mark of %s: %w", thing.file, err)
		}
		if kept == "" {
			err = s.database.SetMeta(ctx, thing.key, mark)
		} else if kept != mark {
			err = fmt.Errorf("%s is not the one that this database was made with. Put the old one back into %s",
				thing.file, s.directory.path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

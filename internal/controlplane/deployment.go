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

// The facts about a deployment that its database keeps.
const (
	metaAccount   = "account"
	metaAuthority = "authority" // SHA-256 of the root's public key
	metaSeal      = "seal"      // SHA-256 of the sealing key, which is random and cannot be found from it
)

// openDatabase opens the database. The embedded database is not made where one is missing: SQLite would remove what is
// left of it beside its file, which may be put back.
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

// databaseName names the database, for people, without what a URL may hold beside: a password.
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

// decideAccount returns the account number: the one kept, else the one configured, else a random one, which is
// kept from then on.
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
		// 12 digits without a leading zero, which spreadsheets and careless programs would drop.
		n, err := rand.Int(random, big.NewInt(900_000_000_000))
		if err != nil {
			return "", fmt.Errorf("draw an account number: %w", err)
		}
		account = fmt.Sprint(100_000_000_000 + n.Int64())
	}
	return account, s.database.SetMeta(ctx, metaAccount, account)
}

// belongTogether refuses to go on with a database that was used with other keys: its hosts would trust us no
// more, and its secrets could not be opened.
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

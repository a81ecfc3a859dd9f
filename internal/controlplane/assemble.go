package controlplane

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awsapi/cloudtrail"
	"github.com/sallyport/sallyport/internal/awsapi/ec2"
	"github.com/sallyport/sallyport/internal/awsapi/eic"
	iamapi "github.com/sallyport/sallyport/internal/awsapi/iam"
	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/awsapi/sts"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostlink"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/trail"
)

// signerDomain ends the name of the signers' certificates, where AWS has amazonaws.com.
const signerDomain = "sallyport"

// zonesOf are the zones that every region has.
func zonesOf(region string) []string { return []string{region + "a", region + "b", region + "c"} }

// surroundings is what the rooms are built into.
type surroundings struct {
	config     Config
	account    string
	endpoint   string
	advertised string
	store      *store.Store
	authority  *ca.Authority
	sealKey    []byte
	log        *slog.Logger
	now        func() time.Time
	random     io.Reader
}

// parts is the control plane's inside.
type parts struct {
	services   []awsapi.Service
	api        http.Handler
	hosts      http.Handler
	metrics    *metrics
	links      *hostlink.Links
	identities *iam.Service
	keys       *access.Service
}

// assemble builds the rooms, each on those beneath it.
func assemble(s surroundings) (parts, error) {
	seal, err := iam.NewSeal(s.sealKey, s.random)
	if err != nil {
		return parts{}, err
	}
	fingerprint, err := ca.Fingerprint(s.authority.Certificate().Raw)
	if err != nil {
		return parts{}, err
	}
	var regions []compute.Region
	for _, name := range s.config.Regions {
		regions = append(regions, compute.Region{Name: name, Zones: zonesOf(name)})
	}

	links := hostlink.NewLinks(s.log)
	identities := iam.New(s.account, s.store, seal, s.now, s.random)
	instances := compute.New(s.store, links, regions, s.now, s.random)
	keys := access.New(s.store, s.store, instances, links, s.authority.Signers(signerDomain, s.now), s.now)
	guard := gate.New(s.account, identities, tags{identities: identities, instances: instances}, s.store, s.now, s.random)
	numbers := newMetrics(links.Count)

	services := []awsapi.Service{
		ec2.New(instances, hostOf(s.endpoint)),
		eic.New(keys),
		iamapi.New(identities),
		sts.New(identities),
		cloudtrail.New(s.store, s.now),
		sallyport.New(instances, sallyport.Place{Server: s.advertised, Fingerprint: fingerprint}),
	}
	return parts{
		services: services,
		api: awsapi.New(awsapi.Config{
			Account: s.account, Regions: s.config.Regions, Gate: guard, Observer: numbers, Log: s.log, Now: s.now, Random: s.random,
		}, services...),
		hosts: hostlink.Server{
			Links: links, Instances: instances, Grants: keys, Gate: guard, Account: s.account, Region: s.config.Regions[0],
			Authority: s.authority.Certificate().Raw, Now: s.now, Random: s.random, Log: s.log,
		}.Handler(),
		metrics: numbers, links: links, identities: identities, keys: keys,
	}, nil
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
		kept, err := s.store.Meta(ctx, thing.key)
		if err != nil {
			return fmt.Errorf("read the mark of %s: %w", thing.file, err)
		}
		if kept == "" {
			err = s.store.SetMeta(ctx, thing.key, mark)
		} else if kept != mark {
			err = fmt.Errorf("%s is not the one that this database was made with. Put the old one back into %s", thing.file, s.directory.path)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keepCredentials makes sure that the root user has an access key and that CredentialsFile holds it, with the
// region and endpoint of today.
func (s *Server) keepCredentials(ctx context.Context) error {
	region := s.config.Regions[0]
	err := s.parts.identities.EnsureRoot(ctx, region, func(key iam.IssuedKey) error {
		return s.directory.writeCredentials(rootCredentials{AccessKeyID: key.ID, Secret: key.PlainSecret.Reveal(), Region: region, Endpoint: s.endpoint})
	})
	if err != nil {
		return err
	}
	kept, ok, err := s.directory.readCredentials()
	switch {
	case err != nil:
		return err
	case !ok:
		s.log.Warn("the root user's access key is kept elsewhere: there is no credentials file in the data directory", "directory", s.directory.path)
		return nil
	case kept.Region == region && kept.Endpoint == s.endpoint:
		return nil
	}
	kept.Region, kept.Endpoint = region, s.endpoint
	return s.directory.writeCredentials(kept)
}

// How often old things are looked for.
const forgetInterval = 10 * time.Minute

// forget drops ended grants and events beyond their retention.
func (s *Server) forget(ctx context.Context) {
	ticker := time.NewTicker(forgetInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := s.parts.keys.Prune(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("ended grants could not be dropped", "error", err)
		}
		if err := s.store.PruneEvents(ctx, time.Now().Add(-trail.Retention)); err != nil && ctx.Err() == nil {
			s.log.Error("old events could not be dropped", "error", err)
		}
	}
}

package controlplane

import (
	"io"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/internal/access"
	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awsapi/cloudtrail"
	"github.com/sallyport/sallyport/internal/awsapi/ec2"
	"github.com/sallyport/sallyport/internal/awsapi/eic"
	iamapi "github.com/sallyport/sallyport/internal/awsapi/iam"
	"github.com/sallyport/sallyport/internal/awsapi/sallyport"
	"github.com/sallyport/sallyport/internal/awsapi/sts"
	"github.com/sallyport/sallyport/internal/ca"
	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostlink"
	"github.com/sallyport/sallyport/internal/hosts"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/resource"
	"github.com/sallyport/sallyport/internal/trail"
)

// signerDomain is the end of the names in the signers' certificates, where AWS has amazonaws.com.
const signerDomain = "sallyport"

// zonesOf returns the region's zones. Every region has three.
func zonesOf(region string) []string { return []string{region + "a", region + "b", region + "c"} }

// surroundings is what the rooms are built with.
type surroundings struct {
	config     Config
	account    string
	endpoint   string
	advertised string
	database   *db.Writer
	authority  *ca.Authority
	sealKey    []byte
	log        *slog.Logger
	clock      clock.Clock
	random     io.Reader
}

// parts are the parts of a control plane.
type parts struct {
	services   []awsapi.Service
	api        http.Handler
	machines   http.Handler // where machines enroll and link
	metrics    *metrics
	links      *hostlink.Links
	gate       *gate.Gate
	identities *iam.Service
	hosts      *hosts.Service
	keys       *access.Service
}

// assemble builds the rooms, each on those that it imports.
func assemble(s surroundings) (parts, error) {
	seal, err := iam.NewSeal(s.sealKey, s.random)
	if err != nil {
		return parts{}, err
	}
	fingerprint, err := ca.Fingerprint(s.authority.Certificate().Raw)
	if err != nil {
		return parts{}, err
	}
	var places compute.Places
	for _, name := range s.config.Regions {
		places = append(places, compute.Region{Name: name, Endpoint: hostOf(s.endpoint), Zones: zonesOf(name)})
	}

	database := s.database.DB
	links := hostlink.NewLinks(s.clock, s.log)
	identities := iam.New(s.account, database, seal, s.clock, s.random)
	machines := hosts.New(database, links, places, s.clock, s.random)
	instances := compute.New(database, machines, links, places, s.clock)
	keys := access.New(database, instances, links, s.authority.Signers(signerDomain, s.clock.Now), s.clock)
	tagging := resource.NewTags(database, s.clock)
	guard := gate.New(s.account, identities, tags{iam: identities, ec2: tagging}, s.database, s.clock, s.random)
	guard.LimitCalls(s.config.CallRate)
	numbers := newMetrics(links.Count, s.authority.Certificate().NotAfter)

	services := []awsapi.Service{
		ec2.New(instances, tagging),
		eic.New(keys),
		iamapi.New(identities),
		sts.New(identities),
		cloudtrail.New(trail.NewLog(database), s.clock.Now),
		sallyport.New(machines, instances, sallyport.Place{Server: s.advertised, Fingerprint: fingerprint}),
	}
	return parts{
		services: services,
		api: awsapi.New(awsapi.Config{
			Account: s.account, Regions: s.config.Regions, Gate: guard, Observer: numbers, Log: s.log, Now: s.clock.Now,
			Random: s.random, PlainHTTP: s.config.AllowPlainHTTP,
		}, services...),
		machines: hostlink.Server{
			Links: links, Hosts: machines, Grants: keys, Gate: guard, Account: s.account, Region: s.config.Regions[0],
			Authority: s.authority.Certificate().Raw, Clock: s.clock, Random: s.random, Log: s.log,
		}.Handler(),
		metrics: numbers, links: links, gate: guard, identities: identities, hosts: machines, keys: keys,
	}, nil
}

// hostOf returns the host and port of a valid URL.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

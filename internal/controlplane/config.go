// Package controlplane builds a running control plane from a configuration. Besides commands and tests it is the only
// package that knows every room, and it connects them. When Start returns, the control plane answers requests, and the
// root user's credentials are on disk. Close ends it in order.
package controlplane

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/gate"
)

// Defaults and limits of a Config.
const (
	DefaultListen = "127.0.0.1:7474"
	DefaultRegion = "on-prem-1"

	maxCallRate = 1_000_000 // calls a second: practically no limit
)

// Config is the operator's configuration. Every field but Data has a safe default.
type Config struct {
	// Data is the directory of the keys, the credentials and the embedded database. It is created if it does not exist,
	// and is used by one control plane at a time.
	Data string
	// Listen is the address for both HTTP and HTTPS; DefaultListen if empty. Port 0 selects a free port.
	Listen string
	// Database is a postgres:// URL; if empty, the database is the embedded SQLite in Data.
	Database string
	// Account is the account number, 12 digits. It is set at the first start, at random if empty, and cannot be changed
	// afterwards.
	Account string
	// Regions are the regions. The first is the default one; if empty, DefaultRegion is the only one.
	Regions []string
	// Hostnames are additional names and addresses of this server for its TLS certificate.
	Hostnames []string
	// Advertise is the URL by which machines reach this server: https://HOST:PORT. If empty it is derived from Listen,
	// with the machine's name if Listen is every address.
	Advertise string
	// AllowPlainHTTP accepts requests without TLS from other machines. Signed requests still cannot be forged and do
	// not reveal secret keys, but requests and answers can be read on the way, new access keys included.
	AllowPlainHTTP bool
	// CallRate is how many calls a second each principal may make, with bursts of ten times as many;
	// gate.DefaultCallRate if 0.
	CallRate int
}

// ReadConfig reads a Config from a JSON file: an object with the settings by their names. A name that is unknown, in
// another case, or repeated is an error.
func ReadConfig(path string) (Config, error) {
	file, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	defer file.Close()
	var c Config
	if err := c.read(json.NewDecoder(file)); err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func (c *Config) read(decoder *json.Decoder) error {
	settings := map[string]any{
		"data": &c.Data, "listen": &c.Listen, "db": &c.Database, "account": &c.Account, "regions": &c.Regions,
		"hostnames": &c.Hostnames, "advertise": &c.Advertise, "allowPlainHTTP": &c.AllowPlainHTTP,
		"callRate": &c.CallRate,
	}
	names := slices.Sorted(maps.Keys(settings))
	seen := map[string]bool{}
	start, err := decoder.Token()
	if err != nil {
		return err
	}
	if start != json.Delim('{') {
		return errors.New("the configuration is no JSON object")
	}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string) // the decoder accepts only a string here
		setting, ok := settings[name]
		if !ok {
			return fmt.Errorf("%q is not a setting. They are: %s", name, strings.Join(names, ", "))
		}
		if seen[name] {
			return fmt.Errorf("%q is set twice", name)
		}
		seen[name] = true
		if err := decoder.Decode(setting); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the configuration's closing brace")
	}
	return nil
}

var (
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
)

// withDefaults checks the Config and fills in the defaults.
func (c Config) withDefaults() (Config, error) {
	if c.Data == "" {
		return c, errors.New("no data directory is given (--data DIR)")
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return c, fmt.Errorf("the listen address %q is not HOST:PORT: %w", c.Listen, err)
	}
	if len(c.Regions) == 0 {
		c.Regions = []string{DefaultRegion}
	}
	for i, region := range c.Regions {
		if !regionForm.MatchString(region) || len(region) > 32 {
			return c, fmt.Errorf("the region %q is not a name like on-prem-1: at most 32 small letters, digits and hyphens",
				region)
		}
		if slices.Contains(c.Regions[:i], region) {
			return c, fmt.Errorf("the region %q is listed twice", region)
		}
	}
	if c.Account != "" && !accountForm.MatchString(c.Account) {
		return c, fmt.Errorf("the account %q is not 12 digits", c.Account)
	}
	if c.Database != "" {
		if u, err := url.Parse(c.Database); err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return c, errors.New("the database is not a postgres:// URL; leave it out for the embedded one")
		}
	}
	if c.CallRate == 0 {
		c.CallRate = gate.DefaultCallRate
	}
	if c.CallRate < 1 || c.CallRate > maxCallRate {
		return c, fmt.Errorf("the call rate %d is not one of 1 to %d calls a second", c.CallRate, maxCallRate)
	}
	if c.Advertise != "" {
		u, err := url.Parse(c.Advertise)
		if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" ||
			u.User != nil {
			return c, fmt.Errorf("the advertised URL %q is not https://HOST:PORT", c.Advertise)
		}
		c.Advertise = "https://" + u.Host
	}
	return c, nil
}

// names returns every name and address the server's certificate is for.
func (c Config) names(listener net.Addr) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && host != "" {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(listener.String()); err == nil {
		names = append(names, host)
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	if u, err := url.Parse(c.Advertise); err == nil && u.Hostname() != "" {
		names = append(names, u.Hostname())
	}
	names = append(names, c.Hostnames...)
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool {
		ip := net.ParseIP(name)
		return ip != nil && ip.IsUnspecified()
	})
}

// urls returns the URL of the API for clients on this machine, and the URL for machines. Plain HTTP is for loopback
// only, so a server that does not listen there has an https URL for both.
func (c Config) urls(listener net.Addr) (endpoint, advertise string) {
	host, port, _ := net.SplitHostPort(listener.String())
	ip := net.ParseIP(host)
	public := host
	switch {
	case ip.IsUnspecified():
		host, public = "127.0.0.1", "localhost"
		if name, err := os.Hostname(); err == nil {
			public = name
		}
		if len(c.Hostnames) > 0 {
			public = c.Hostnames[0]
		}
		endpoint = "http://" + net.JoinHostPort(host, port)
	case ip.IsLoopback():
		endpoint = "http://" + net.JoinHostPort(host, port)
	default:
		endpoint = "https://" + net.JoinHostPort(host, port)
	}
	if c.Advertise != "" {
		return endpoint, c.Advertise
	}
	return endpoint, "https://" + net.JoinHostPort(public, port)
}

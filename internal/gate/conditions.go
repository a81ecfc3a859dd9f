package gate

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/policy"
)

// requestContext returns the values of the global condition keys, of the ask's own keys and of the tags. It looks
// values up only when a policy needs them.
type requestContext struct {
	ctx       context.Context
	gate      *Gate
	principal Principal
	call      Call
	ask       Ask
	now       time.Time
	tags      map[string]string
	looked    bool
	err       error // the first error: a key whose lookup failed is not absent
}

// Values implements policy.Context.
func (c *requestContext) Values(key string) ([]string, bool) {
	if values, ok := c.ask.Keys[key]; ok {
		return values, true
	}
	if name, ok := cutAnyPrefix(key, "aws:resourcetag/", "ec2:resourcetag/", "iam:resourcetag/"); ok {
		return tagValue(c.resourceTags(), name)
	}
	if name, ok := cutAnyPrefix(key, "aws:principaltag/"); ok {
		return tagValue(c.principal.Tags, name)
	}
	if value, ok := c.ofResource(key); ok {
		return one(value)
	}
	identity := c.principal.Identity
	switch key {
	case "aws:currenttime":
		return one(c.now.UTC().Format(time.RFC3339))
	case "aws:epochtime":
		return one(fmt.Sprint(c.now.Unix()))
	case "aws:sourceip":
		if !c.call.SourceIP.IsValid() {
			return nil, false
		}
		return one(c.call.SourceIP.Unmap().String())
	case "aws:useragent":
		return one(c.call.UserAgent)
	case "aws:securetransport":
		return one(fmt.Sprint(c.call.Secure))
	case "aws:tokenissuetime":
		if c.principal.Issued.Time.IsZero() {
			return nil, false // long-lived keys have no such key
		}
		return one(c.principal.Issued.Time.UTC().Format(time.RFC3339))
	case "aws:requestedregion":
		return one(c.call.Region)
	case "aws:username":
		if identity.UserName == "" {
			return nil, false
		}
		return one(identity.UserName)
	case "aws:userid":
		return one(identity.PrincipalID)
	case "aws:principalarn":
		return one(identity.ARN)
	case "aws:principalaccount", "aws:resourceaccount":
		return one(c.gate.account)
	case "aws:principaltype":
		if c.principal.Root {
			return one("Account")
		}
		return one("User")
	case "aws:principalisawsservice", "aws:viaawsservice", "aws:multifactorauthpresent":
		if key == "aws:multifactorauthpresent" && c.principal.SessionToken == "" {
			return nil, false // AWS leaves it out for long-lived keys
		}
		return one("false")
	}
	return nil, false
}

func (c *requestContext) ofResource(key string) (value string, ok bool) {
	if c.ask.Condition == nil {
		return "", false
	}
	value, ok, err := c.ask.Condition(c.ctx, key)
	c.err = cmp.Or(c.err, err)
	return value, ok
}

func (c *requestContext) resourceTags() map[string]string {
	if c.ask.Tags != nil {
		return c.ask.Tags
	}
	if !c.looked && c.ask.ARN != "*" {
		c.looked = true
		var err error
		c.tags, err = c.gate.tags.ResourceTags(c.ctx, c.ask.ARN)
		c.err = cmp.Or(c.err, err)
	}
	return c.tags
}

func one(value string) ([]string, bool) { return []string{value}, true }

// tagValue returns a tag's values by its name as policy.Fold returns it: condition keys are compared without regard to
// case, including the tag's name. If several tags have names that differ only in case, it returns all their values, so
// that a condition on a single value does not hold.
func tagValue(tags map[string]string, name string) (values []string, ok bool) {
	for key, value := range tags {
		if policy.Fold(key) == name {
			values, ok = append(values, value), true
		}
	}
	return values, ok
}

func cutAnyPrefix(s string, prefixes ...string) (string, bool) {
	for _, prefix := range prefixes {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest, true
		}
	}
	return "", false
}

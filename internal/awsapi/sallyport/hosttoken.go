package sallyport

import (
	"context"
	"iter"
	"maps"
	"time"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/hostproto"
	"github.com/sallyport/sallyport/internal/hosts"
)

// CreateHostTokenInput asks for a token with which one machine can enroll.
type CreateHostTokenInput struct {
	Name             string `json:",omitempty"` // of the instance: its Name tag
	AvailabilityZone string `json:",omitempty"` // of the instance; the region's first if empty
	Tags             []Tag  `json:",omitempty"` // of the instance
	DurationSeconds  int64  `json:",omitempty"` // how long the token is good for: 60 to 86,400; 3,600 if 0
}

// Tag is a tag of an instance.
type Tag struct {
	Key   string
	Value string
}

// CreateHostTokenOutput has the token, which is shown only once.
type CreateHostTokenOutput struct {
	Token   string // for `sallyport-host enroll`: one line, a secret
	TokenId string // names the token in the trail
	Expires int64  // seconds since 1970, as JSON 1.1 writes times
}

func (a api) createHostToken() awsapi.Operation {
	return awsapi.Row[CreateHostTokenInput, CreateHostTokenOutput]{
		Name:    "CreateHostToken",
		Action:  "sallyport:CreateHostToken",
		Accepts: []string{"Name", "AvailabilityZone", "Tags", "DurationSeconds"},
		Asks: func(_ context.Context, _ awsapi.Scope, in *CreateHostTokenInput) ([]gate.Ask, error) {
			keys, err := awsapi.RequestTags(tagsOf(in))
			return []gate.Ask{{ARN: "*", Keys: keys}}, err
		},
		Response: func(out *CreateHostTokenOutput) map[string]any {
			expires := time.Unix(out.Expires, 0).UTC().Format(time.RFC3339)
			return map[string]any{"tokenId": out.TokenId, "expires": expires}
		},
		Write: func(tx *gate.Tx, in *CreateHostTokenInput) (*CreateHostTokenOutput, error) {
			if in.DurationSeconds < 0 || in.DurationSeconds > int64(hosts.MaxTokenLifetime/time.Second) {
				return nil, fault.New(fault.Invalid, fault.Lifetime, "DurationSeconds is %d; it must be from 60 to 86400.",
					in.DurationSeconds)
			}
			token, secret, err := a.hosts.CreateToken(tx, hosts.TokenRequest{
				Zone: in.AvailabilityZone, Tags: maps.Collect(tagsOf(in)),
				Lifetime: time.Duration(in.DurationSeconds) * time.Second,
			})
			if err != nil {
				return nil, err
			}
			text, err := hostproto.FormatToken(hostproto.Token{
				Server: a.place.Server, Fingerprint: a.place.Fingerprint, ID: token.ID, Secret: []byte(secret.Reveal()),
			})
			if err != nil {
				return nil, err
			}
			return &CreateHostTokenOutput{Token: text, TokenId: token.ID, Expires: token.Expires.Unix()}, nil
		},
	}.Operation()
}

// tagsOf returns the tags that the instance would get, its name first.
func tagsOf(in *CreateHostTokenInput) iter.Seq2[string, string] {
	return func(yield func(key, value string) bool) {
		if in.Name != "" && !yield("Name", in.Name) {
			return
		}
		for _, t := range in.Tags {
			if !yield(t.Key, t.Value) {
				return
			}
		}
	}
}

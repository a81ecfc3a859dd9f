package iam_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "111122223333"
	region  = "on-prem-1"
)

// world is the room of identities with a real gate before it and a real store behind it.
type world struct {
	*testing.T
	ctx     context.Context
	path    string // of the database
	store   *store.Store
	service *iam.Service
	gate    *gate.Gate
	clock   ticking
	log     *bytes.Buffer
	root    iam.IssuedKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	t.Cleanup(cancel)
	w := &world{T: t, ctx: ctx, clock: ticking{clocktest.New(time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC))}, log: &bytes.Buffer{}}
	w.path = filepath.Join(t.TempDir(), "sallyport.db")
	var err error
	w.store, err = store.Open(ctx, w.path, slog.New(slog.NewTextHandler(w.log, nil)))
	w.ok(err)
	t.Cleanup(func() { w.store.Close() })
	w.serve(w.store)
	w.ok(w.service.EnsureRoot(ctx, region, func(key iam.IssuedKey) error { w.root = key; return nil }))
	return w
}

// serve starts the service, with an empty cache, over a store.
func (w *world) serve(s iam.Store) {
	w.Helper()
	seal, err := iam.NewSeal(bytes.Repeat([]byte{7}, iam.SealKeySize), rand.Reader)
	w.ok(err)
	w.service = iam.New(account, s, seal, w.clock.Read, rand.Reader)
	w.gate = gate.New(account, w.service, w.service, w.store, w.clock.Read, rand.Reader)
	w.gate.LimitCalls(1_000_000) // the tests ask as fast as they can
}

// ticking is a machine's clocks, in which time passes whenever they are read.
type ticking struct{ *clocktest.Machine }

func (t ticking) Read() clock.Reading {
	t.Pass(time.Millisecond)
	return t.Machine.Read()
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused checks that a call failed, and how.
func (w *world) refused(err error, kind fault.Kind, text string) {
	w.Helper()
	if !fault.Is(err, kind) || !strings.Contains(fault.Of(err).Message, text) {
		w.Errorf("got %v (%v), want %v with %q", err, fault.Of(err).Kind, kind, text)
	}
}

// ask lets the key's owner do the action, or says why not.
func (w *world) ask(keyID, token, action, resource string) (gate.Pass, error) {
	caller, err := w.gate.Authenticate(w.ctx, gate.Call{Source: "iam.amazonaws.com", Region: "on-prem-1"}, keyID, token, func(gate.Secret) error { return nil })
	if err != nil {
		return gate.Pass{}, err
	}
	call := gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Source: "iam.amazonaws.com", Name: "Test", Action: action, Region: region,
		Resources: []gate.Resource{{ARN: resource}},
	}
	return w.gate.Authorize(w.ctx, caller, call)
}

// as is a pass for the key's owner, who needs no permission for it.
func (w *world) as(keyID string) gate.Pass {
	w.Helper()
	pass, err := w.ask(keyID, "", "", "*")
	w.ok(err)
	return pass
}

func (w *world) pass() gate.Pass { w.Helper(); return w.as(w.root.ID) }

// user creates a user with an access key.
func (w *world) user(name string) iam.IssuedKey {
	w.Helper()
	_, err := w.service.CreateUser(w.ctx, w.pass(), iam.NewUser{Name: name})
	w.ok(err)
	return w.key(name)
}

func (w *world) key(user string) iam.IssuedKey {
	w.Helper()
	key, err := w.service.CreateAccessKey(w.ctx, w.pass(), user)
	w.ok(err)
	return key
}

func (w *world) group(name string) {
	w.Helper()
	_, err := w.service.CreateGroup(w.ctx, w.pass(), name, "")
	w.ok(err)
}

func (w *world) policy(name, document string) iam.ManagedPolicy {
	w.Helper()
	p, err := w.service.CreatePolicy(w.ctx, w.pass(), iam.NewPolicy{Name: name, Document: document})
	w.ok(err)
	return p
}

// records are all records of the trail.
func (w *world) records() []string {
	w.Helper()
	entries, err := w.store.Events(w.ctx, trail.Query{Limit: 10_000})
	w.ok(err)
	var records []string
	for _, e := range entries {
		records = append(records, e.Record)
	}
	return records
}

func userNamed(name string) iam.Owner  { return iam.Owner{Kind: iam.OwnerUser, Name: name} }
func groupNamed(name string) iam.Owner { return iam.Owner{Kind: iam.OwnerGroup, Name: name} }

const (
	allowPush = `{"Version":"2012-10-17","Statement":{"Sid":"Push","Effect":"Allow","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*"}}`
	denyPush  = `{"Version":"2012-10-17","Statement":{"Sid":"NoPush","Effect":"Deny","Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*"}}`
	push      = "ec2-instance-connect:SendSSHPublicKey"
	host      = "arn:aws:ec2:on-prem-1:111122223333:instance/i-0123456789abcdef0"
)

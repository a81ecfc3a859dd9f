package iam_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/clock"
	"github.com/sallyport/sallyport/internal/clock/clocktest"
	"github.com/sallyport/sallyport/internal/db"
	"github.com/sallyport/sallyport/internal/db/dbtest"
	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/gate"
	"github.com/sallyport/sallyport/internal/iam"
	"github.com/sallyport/sallyport/internal/testkit/wait"
	"github.com/sallyport/sallyport/internal/trail"
	"github.com/sallyport/sallyport/internal/uuid"
)

const (
	account = "111122223333"
	region  = "on-prem-1"
)

// world is the service with a real gate and a real database.
type world struct {
	testing.TB
	ctx     context.Context
	db      *db.Writer
	service *iam.Service
	gate    *gate.Gate
	clock   ticking
	root    iam.IssuedKey
}

// each runs a test on each database. On SQLite every write is run twice, and the first run is undone: see
// dbtest.SQLite.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	dbtest.Each(t, func(t *testing.T, database *db.Writer) { test(t, newWorld(t, database)) })
}

func newWorld(t testing.TB, database *db.Writer) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait.Patience)
	t.Cleanup(cancel)
	start := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	w := &world{TB: t, ctx: ctx, db: database, clock: ticking{clocktest.New(start)}}
	w.serve()
	w.ok(w.ensureRoot(func(key iam.IssuedKey) error { w.root = key; return nil }))
	return w
}

// serve replaces the service by a new one with an empty cache.
func (w *world) serve() {
	w.Helper()
	seal, err := iam.NewSeal(bytes.Repeat([]byte{7}, iam.SealKeySize), rand.Reader)
	w.ok(err)
	w.service = iam.New(account, w.db.DB, seal, w.clock.Read, rand.Reader)
	w.gate = gate.New(account, w.service, w.service, w.db, w.clock.Read, rand.Reader)
	w.gate.LimitCalls(1_000_000) // the tests call as fast as they can
}

func (w *world) ensureRoot(keep func(iam.IssuedKey) error) error {
	pass := w.gate.Self(gate.Call{Source: "iam.amazonaws.com", Name: "CreateAccessKey", Region: region})
	return w.doAs(pass, w.service.EnsureRoot, keep)
}

// ticking is a machine's clocks, which advance whenever they are read.
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

// ask authorizes the key's owner for the action. An empty action needs no permission.
func (w *world) ask(keyID, token, action, resource string) (gate.Pass, error) {
	call := gate.Call{
		RequestID: uuid.New(time.Now(), rand.Reader), Source: "iam.amazonaws.com", Name: "Test", Region: region,
		Asks: []gate.Ask{{Action: action, ARN: resource}}, Open: action == "",
	}
	caller, err := w.gate.Authenticate(w.ctx, call, keyID, token, func(gate.Secret) error { return nil })
	if err != nil {
		return gate.Pass{}, err
	}
	return w.gate.Authorize(w.ctx, caller, call)
}

// as returns a pass of the key's owner that needs no permission.
func (w *world) as(keyID string) gate.Pass {
	w.Helper()
	pass, err := w.ask(keyID, "", "", "*")
	w.ok(err)
	return pass
}

func (w *world) pass() gate.Pass { w.Helper(); return w.as(w.root.ID) }

// do calls a method of the service that writes, as the root user: method(tx, args...).
func (w *world) do(method any, args ...any) error {
	w.Helper()
	return w.doAs(w.pass(), method, args...)
}

// doAs is do with another user's pass.
func (w *world) doAs(pass gate.Pass, method any, args ...any) error {
	_, err := made[any](w, pass, method, args...)
	return err
}

// made is doAs with the method's result.
func made[T any](w *world, pass gate.Pass, method any, args ...any) (result T, err error) {
	err = w.gate.Write(w.ctx, pass, func(tx *gate.Tx) error {
		in := []reflect.Value{reflect.ValueOf(tx)}
		for _, arg := range args {
			in = append(in, reflect.ValueOf(arg))
		}
		out := reflect.ValueOf(method).Call(in)
		result, _ = out[0].Interface().(T)
		err, _ := out[len(out)-1].Interface().(error)
		return err
	})
	return result, err
}

func (w *world) create(owner iam.Owner, path string) (iam.Identity, error) {
	w.Helper()
	return made[iam.Identity](w, w.pass(), w.service.Create, iam.NewIdentity{Owner: owner, Path: path})
}

// user creates a user with an access key.
func (w *world) user(name string) iam.IssuedKey {
	w.Helper()
	_, err := w.create(userNamed(name), "")
	w.ok(err)
	return w.key(name)
}

func (w *world) key(user string) iam.IssuedKey {
	w.Helper()
	key, err := made[iam.IssuedKey](w, w.pass(), w.service.CreateAccessKey, user)
	w.ok(err)
	return key
}

func (w *world) group(name string) iam.Identity {
	w.Helper()
	group, err := w.create(groupNamed(name), "")
	w.ok(err)
	return group
}

func (w *world) policy(name, document string) iam.ManagedPolicy {
	w.Helper()
	p, err := made[iam.ManagedPolicy](w, w.pass(), w.service.CreatePolicy, iam.NewPolicy{Name: name, Document: document})
	w.ok(err)
	return p
}

// trail returns all events, newest first.
func (w *world) trail() []trail.Entry {
	w.Helper()
	entries, err := trail.NewLog(w.db.DB).Events(w.ctx, trail.Query{Limit: 10_000})
	w.ok(err)
	return entries
}

func userNamed(name string) iam.Owner  { return iam.Owner{Kind: iam.OwnerUser, Name: name} }
func groupNamed(name string) iam.Owner { return iam.Owner{Kind: iam.OwnerGroup, Name: name} }

func inline(document string) iam.InlinePolicy {
	return iam.InlinePolicy{Name: "access", Document: document}
}

const (
	allowPush = `{"Version":"2012-10-17","Statement":{"Sid":"Push","Effect":"Allow",` +
		`"Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*"}}`
	denyPush = `{"Version":"2012-10-17","Statement":{"Sid":"NoPush","Effect":"Deny",` +
		`"Action":"ec2-instance-connect:SendSSHPublicKey","Resource":"*"}}`
	push          = "ec2-instance-connect:SendSSHPublicKey"
	host          = "arn:aws:ec2:on-prem-1:111122223333:instance/i-0123456789abcdef0"
	administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
)

package iam

import (
	"bytes"
	"crypto/rand"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/gate"
)

func newTestSeal(t testing.TB, filler byte) *Seal {
	t.Helper()
	seal, err := NewSeal(bytes.Repeat([]byte{filler}, SealKeySize), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return seal
}

func TestSealOpensOnlyWhatItClosed(t *testing.T) {
	seal, other := newTestSeal(t, 1), newTestSeal(t, 2)
	const id, another = "AKIAAAAAAAAAAAAAAAAA", "AKIAAAAAAAAAAAAAAAAB"
	sealed, err := seal.close("the secret", id, signingSecret)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("the secret")) {
		t.Error("the secret stands in clear")
	}
	again, err := seal.close("the secret", id, signingSecret)
	if err != nil || bytes.Equal(sealed, again) {
		t.Error("two seals of one secret are the same")
	}
	if secret, err := seal.open(sealed, id, signingSecret); err != nil || secret != "the secret" {
		t.Errorf("open: %v", err)
	}
	for name, open := range map[string]func() (gate.Secret, error){
		"another deployment's key": func() (gate.Secret, error) { return other.open(sealed, id, signingSecret) },
		"another access key":       func() (gate.Secret, error) { return seal.open(sealed, another, signingSecret) },
		"another purpose":          func() (gate.Secret, error) { return seal.open(sealed, id, sessionToken) },
		"cut short":                func() (gate.Secret, error) { return seal.open(sealed[:5], id, signingSecret) },
		"empty":                    func() (gate.Secret, error) { return seal.open(nil, id, signingSecret) },
		"the zero Seal":            func() (gate.Secret, error) { return new(Seal).open(sealed, id, signingSecret) },
	} {
		if secret, err := open(); err == nil || secret != "" {
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := new(Seal).close("s", id, signingSecret); err == nil {
		t.Error("the zero Seal closed")
	}
	for _, size := range []int{0, 16, 31, 33} {
		if _, err := NewSeal(make([]byte, size), rand.Reader); err == nil {
			t.Errorf("a key of %d bytes was taken", size)
		}
	}
}

func TestSealNoticesEveryFlippedBit(t *testing.T) {
	seal := newTestSeal(t, 1)
	rapid.Check(t, func(t *rapid.T) {
		secret := gate.Secret(rapid.String().Draw(t, "secret"))
		sealed, err := seal.close(secret, "AKIA", signingSecret)
		if err != nil {
			t.Fatal(err)
		}
		if opened, err := seal.open(sealed, "AKIA", signingSecret); err != nil || opened != secret {
			t.Fatalf("round trip: %v", err)
		}
		sealed[rapid.IntRange(0, len(sealed)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := seal.open(sealed, "AKIA", signingSecret); err == nil {
			t.Fatal("an altered secret opened")
		}
	})
}

func TestIDsLookLikeAWS(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		user, err := newID(rand.Reader, "AIDA")
		if err != nil {
			t.Fatal(err)
		}
		key, err := newKeyID(rand.Reader, accessKeyPrefix)
		if err != nil {
			t.Fatal(err)
		}
		if len(user) != 21 || !keyIDForm.MatchString(key) || seen[user] || seen[key] {
			t.Fatalf("%s %s", user, key)
		}
		seen[user], seen[key] = true, true
		secret, err := newSecret(rand.Reader)
		if err != nil || len(secret) != 40 {
			t.Fatalf("a secret of %d characters, %v", len(secret), err)
		}
	}
	for _, make := range []func() error{
		func() error { _, err := newID(bytes.NewReader(nil), "AIDA"); return err },
		func() error { _, err := newSecret(bytes.NewReader(nil)); return err },
	} {
		if make() == nil {
			t.Error("no randomness, and no error")
		}
	}
}

package page_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/fault"
	"github.com/sallyport/sallyport/internal/page"
)

func TestRoundTrip(t *testing.T) {
	query := []any{"things", map[string]string{"a": "b"}}
	token := page.Token(query, "after this")
	var got string
	if err := page.Position(token, query, &got); err != nil || got != "after this" {
		t.Errorf("got %q, %v", got, err)
	}
	got = "unchanged"
	if err := page.Position("", query, &got); err != nil || got != "unchanged" {
		t.Errorf("no token: %q, %v", got, err)
	}
	if err := page.Position(token, "another query", &got); !fault.Is(err, fault.Invalid) || got != "unchanged" {
		t.Errorf("a token of another query: %v, %q", err, got)
	}
	var number int
	if err := page.Position(token, query, &number); !fault.Is(err, fault.Invalid) {
		t.Errorf("a position of another type: %v", err)
	}
}

// A caller reads a listing page by page while others delete and create things. Everything that was there from the first
// page to the last is read once.
func TestCutMissesAndRepeatsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringN(0, 3, -1), func(s string) string { return s })
		things, volatile := names.Draw(t, "things"), names.Draw(t, "those that come and go")
		volatile = slices.DeleteFunc(volatile, func(v string) bool { return slices.Contains(things, v) })
		slices.Sort(things)
		var read []string
		for token, more := "", true; more; more = token != "" {
			now := slices.Concat(things, rapid.SliceOfDistinct(
				rapid.SampledFrom(append(volatile, "always")), func(s string) string { return s }).Draw(t, "there now"))
			slices.Sort(now)
			now = slices.Compact(now)
			size := rapid.IntRange(1, 4).Draw(t, "size")
			cut, next, err := page.Cut(now, func(s string) string { return s }, size, token, "q")
			if err != nil || len(cut) > size || next != "" && len(cut) < size {
				t.Fatalf("%d things, next %q, %v", len(cut), next, err)
			}
			for _, name := range cut {
				if slices.Contains(things, name) {
					read = append(read, name)
				}
			}
			token = next
		}
		if !slices.Equal(read, things) {
			t.Fatalf("read %q of %q", read, things)
		}
	})
}

func TestCutRefusesAForeignToken(t *testing.T) {
	same := func(s string) string { return s }
	things := []string{"a", "b"}
	_, token, err := page.Cut(things, same, 1, "", "mine")
	if err != nil || token == "" {
		t.Fatalf("%q, %v", token, err)
	}
	if _, _, err := page.Cut(things, same, 1, token, "yours"); !fault.Is(err, fault.Invalid) {
		t.Errorf("another query's token: %v", err)
	}
	if cut, next, err := page.Cut(things[:1], same, 1, token, "mine"); err != nil || len(cut) != 0 || next != "" {
		t.Errorf("past the end: %q, %q, %v", cut, next, err)
	}
}

func FuzzPosition(f *testing.F) {
	f.Add(page.Token("q", "p"))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		var position string
		err := page.Position(token, "q", &position)
		switch {
		case token == "" && err != nil:
			t.Error(err)
		case err == nil && token != "" && page.Token("q", position) == "":
			t.Error("accepted and cannot be made")
		case err != nil && !fault.Is(err, fault.Invalid):
			t.Errorf("not the caller's fault: %v", err)
		}
	})
}

package page_test

import (
	"testing"

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

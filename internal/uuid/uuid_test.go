package uuid_test

import (
	"bytes"
	"crypto/rand"
	"regexp"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/uuid"
)

// TestPublishedExample is the example of RFC 9562, appendix A.6.
func TestPublishedExample(t *testing.T) {
	at := time.Date(2022, time.February, 22, 14, 22, 22, 0, time.FixedZone("", -5*3600))
	random := bytes.NewReader([]byte{0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f})
	if got := uuid.New(at, random); got != "017f22e2-79b0-7cc3-98c4-dc0c0c07398f" {
		t.Error(got)
	}
}

func TestOrderIsThatOfTime(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	rapid.Check(t, func(t *rapid.T) {
		first := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "ms"))
		a := uuid.New(first, rand.Reader)
		b := uuid.New(first.Add(time.Duration(rapid.IntRange(1, 1e6).Draw(t, "later"))*time.Millisecond), rand.Reader)
		if !form.MatchString(a) || a >= b {
			t.Errorf("%s, later %s", a, b)
		}
	})
}

func TestNoRandomness(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an id was made of nothing")
		}
	}()
	uuid.New(time.Now(), bytes.NewReader(nil))
}

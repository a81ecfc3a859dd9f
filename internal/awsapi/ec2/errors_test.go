package ec2

import (
	"testing"

	"github.com/sallyport/sallyport/internal/fault"
)

// CloudTrail's codes for EC2 say whose error it was. Alarms on throttling look for the client's code.
func TestRecordedCodes(t *testing.T) {
	for kind, want := range map[fault.Kind]string{
		fault.Denied:      "Client.UnauthorizedOperation",
		fault.Invalid:     "Client.InvalidParameterValue",
		fault.Throttled:   "Client.RequestLimitExceeded",
		fault.Unavailable: "Server.Unavailable",
		fault.Internal:    "Server.InternalError",
	} {
		if got := errorOf(fault.New(kind, fault.Subject{}, "")); got.Recorded != want {
			t.Errorf("%s is recorded as %s", want, got.Recorded)
		}
	}
}

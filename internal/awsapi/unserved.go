package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// xmlServices are those of AWS that speak XML without sending forms, by their names in a signature's scope.
var xmlServices = []string{"s3", "route53", "cloudfront"}

// unserved stands in for a service that is not served here: it has no operations, but speaks so that the client
// of such a service, who may well have one endpoint URL for all, understands the refusal.
func unserved(name string, r *http.Request) service {
	const unknown = "unknown" // whatever the caller calls it
	sv := service{Service: Service{
		Name: unknown, Source: unknown, Codec: awswire.JSON("", "message"), Error: unservedError,
	}}
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") || r.URL.Query().Has("Action")
	if form || slices.Contains(xmlServices, name) {
		sv.Codec, sv.Error = awswire.Query("", ""), QueryError
	}
	return sv
}

func unservedError(f *fault.Error) awswire.Error {
	if e, ok := JSONError(f); ok {
		return e
	}
	return awswire.Error{Status: http.StatusInternalServerError, Code: "InternalFailure"}
}

// served reports whether the service is one of ours.
func (s service) served() bool { return s.operations != nil }

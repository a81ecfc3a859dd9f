package awsapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// xmlServices are the services of AWS that speak XML without forms, by their names in a signature's scope.
var xmlServices = []string{"s3", "route53", "cloudfront"}

// unserved returns a stand-in for a service that is not served here. It has no operations, and answers so that the
// service's client understands the refusal: a client may have one endpoint URL for all services.
func unserved(name string, r *http.Request) service {
	const unknown = "unknown" // whatever the caller calls it
	sv := service{Service: Service{
		Name: unknown, Source: unknown, Codec: awswire.JSON("", "message"), Error: unservedError,
	}}
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
		r.URL.Query().Has("Action")
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

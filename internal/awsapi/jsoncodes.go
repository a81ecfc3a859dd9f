package awsapi

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// JSONError returns the errors that AWS's JSON services have in common: those of authentication, and those of
// requests that cannot be understood. ok is false for a fault that the service itself must name.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/CommonErrors.html
func JSONError(f *fault.Error) (e awswire.Error, ok bool) {
	bad := func(code string) (awswire.Error, bool) {
		return awswire.Error{Status: http.StatusBadRequest, Code: code}, true
	}
	switch f.Kind {
	case fault.Unauthenticated:
		switch f.Subject {
		case fault.Signature, fault.Skew, fault.ExpiredRequest:
			return bad("InvalidSignatureException")
		case fault.MissingToken:
			return bad("MissingAuthenticationTokenException")
		case fault.Incomplete:
			return bad("IncompleteSignatureException")
		case fault.ExpiredSession:
			return bad("ExpiredTokenException")
		}
		return bad("UnrecognizedClientException")
	case fault.Throttled:
		if f.Subject == fault.Rate { // services have their own statuses for other throttling
			return bad("ThrottlingException")
		}
	case fault.Invalid:
		switch f.Subject {
		case fault.Request:
			return bad("SerializationException")
		case fault.Region:
			return bad("InvalidSignatureException")
		case fault.Operation:
			return bad("UnknownOperationException")
		}
	}
	return awswire.Error{}, false
}

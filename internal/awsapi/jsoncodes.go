package awsapi

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// JSONError gives a fault the code that AWS's JSON services have in common: those of authentication and of
// requests that are not understood. ok is false for a fault that is the service's own to name.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/CommonErrors.html
func JSONError(f *fault.Error) (e awswire.Error, ok bool) {
	bad := func(code string) (awswire.Error, bool) {
		return awswire.Error{Status: http.StatusBadRequest, Code: code}, true
	}
	switch f.Kind {
	case fault.Unauthenticated:
		switch f.Resource {
		case "signature", "skew", "expired-request":
			return bad("InvalidSignatureException")
		case "missing-token":
			return bad("MissingAuthenticationTokenException")
		case "incomplete":
			return bad("IncompleteSignatureException")
		case "expired-session":
			return bad("ExpiredTokenException")
		}
		return bad("UnrecognizedClientException")
	case fault.Throttled:
		if f.Resource == "rate" { // EC2 Instance Connect and others have statuses of their own for what they throttle
			return bad("ThrottlingException")
		}
	case fault.Invalid:
		switch f.Resource {
		case "request":
			return bad("SerializationException")
		case "region":
			return bad("InvalidSignatureException")
		case "operation":
			return bad("UnknownOperationException")
		}
	}
	return awswire.Error{}, false
}

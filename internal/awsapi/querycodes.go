package awsapi

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// QueryError returns the error that AWS's query services (IAM, STS) have in common for a fault. A service that has a
// code of its own decides that before it calls QueryError.
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
func QueryError(f *fault.Error) awswire.Error {
	code := func(status int, code string) awswire.Error { return awswire.Error{Status: status, Code: code} }
	switch f.Kind {
	case fault.Unauthenticated:
		switch f.Subject {
		case fault.Signature, fault.Skew, fault.ExpiredRequest:
			return code(http.StatusForbidden, "SignatureDoesNotMatch")
		case fault.MissingToken:
			return code(http.StatusForbidden, "MissingAuthenticationToken")
		case fault.Incomplete:
			return code(http.StatusBadRequest, "IncompleteSignature")
		case fault.ExpiredSession:
			return code(http.StatusForbidden, "ExpiredToken")
		}
		return code(http.StatusForbidden, "InvalidClientTokenId")
	case fault.Denied:
		return code(http.StatusForbidden, "AccessDenied")
	case fault.Invalid:
		switch f.Subject {
		case fault.Operation:
			return code(http.StatusBadRequest, "InvalidAction")
		case fault.Request:
			return code(http.StatusBadRequest, "MalformedQueryString")
		}
		return code(http.StatusBadRequest, "ValidationError")
	case fault.Missing, fault.Unsupported:
		return code(http.StatusBadRequest, "ValidationError")
	case fault.Throttled:
		return code(http.StatusBadRequest, "Throttling")
	case fault.Unavailable:
		return code(http.StatusServiceUnavailable, "ServiceUnavailable")
	}
	return code(http.StatusInternalServerError, "InternalFailure")
}

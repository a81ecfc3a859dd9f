package sallyport

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf returns the error for a fault, named as AWS's newer JSON services do.
func errorOf(f *fault.Error) awswire.Error {
	if e, ok := awsapi.JSONError(f); ok {
		return e
	}
	switch f.Kind {
	case fault.Invalid, fault.Missing, fault.Unsupported:
		return awswire.Error{Status: http.StatusBadRequest, Code: "ValidationException"}
	case fault.NotFound:
		return awswire.Error{Status: http.StatusNotFound, Code: "ResourceNotFoundException"}
	case fault.Exists, fault.InUse, fault.WrongState:
		return awswire.Error{Status: http.StatusConflict, Code: "ConflictException"}
	case fault.Limit:
		return awswire.Error{Status: http.StatusBadRequest, Code: "ServiceQuotaExceededException"}
	case fault.Denied:
		return awswire.Error{Status: http.StatusForbidden, Code: "AccessDeniedException"}
	case fault.Unavailable:
		return awswire.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailableException"}
	case fault.Throttled:
		return awswire.Error{Status: http.StatusTooManyRequests, Code: "ThrottlingException"}
	}
	return awswire.Error{Status: http.StatusInternalServerError, Code: "InternalServerException"}
}

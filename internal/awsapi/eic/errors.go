package eic

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf returns EC2 Instance Connect's error for a fault.
// https://docs.aws.amazon.com/ec2-instance-connect/latest/APIReference/API_SendSSHPublicKey.html
func errorOf(f *fault.Error) awswire.Error {
	if e, ok := awsapi.JSONError(f); ok {
		return e
	}
	switch f.Kind {
	case fault.Invalid, fault.Missing, fault.Unsupported:
		return awswire.Error{Status: http.StatusBadRequest, Code: "InvalidArgsException"}
	case fault.NotFound:
		if f.Subject == fault.OSUser {
			return awswire.Error{Status: http.StatusBadRequest, Code: "InvalidArgsException"}
		}
		return awswire.Error{Status: http.StatusNotFound, Code: "EC2InstanceNotFoundException"}
	case fault.WrongState:
		return awswire.Error{Status: http.StatusBadRequest, Code: "EC2InstanceStateInvalidException"}
	case fault.Denied:
		return awswire.Error{Status: http.StatusForbidden, Code: "AuthException", Recorded: "AccessDenied"}
	case fault.Unavailable:
		return awswire.Error{Status: http.StatusServiceUnavailable, Code: "EC2InstanceUnavailableException"}
	case fault.Throttled, fault.Limit:
		return awswire.Error{Status: http.StatusTooManyRequests, Code: "ThrottlingException"}
	}
	return awswire.Error{Status: http.StatusInternalServerError, Code: "ServiceException"}
}

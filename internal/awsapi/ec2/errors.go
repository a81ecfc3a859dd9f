package ec2

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf gives faults EC2's codes. CloudTrail records whose error it was in front of them; who asks too often is a
// client, though the status says otherwise.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func errorOf(f *fault.Error) awswire.Error {
	e := answer(f)
	e.Recorded = "Client." + e.Code
	if e.Status >= http.StatusInternalServerError && f.Kind != fault.Throttled {
		e.Recorded = "Server." + e.Code
	}
	return e
}

func answer(f *fault.Error) awswire.Error {
	bad := func(code string) awswire.Error { return awswire.Error{Status: http.StatusBadRequest, Code: code} }
	if f.Code != "" { // the kind of a resource has said it
		return bad(f.Code)
	}
	switch f.Kind {
	case fault.Invalid:
		return invalid(f)
	case fault.Missing:
		return bad("MissingParameter")
	case fault.Unsupported:
		return bad("UnsupportedOperation")
	case fault.NotFound:
		return bad("InvalidID")
	case fault.Exists, fault.InUse, fault.WrongState:
		return bad("IncorrectState")
	case fault.Limit:
		switch f.Resource {
		case "tag":
			return bad("TagLimitExceeded")
		case "filter":
			return bad("FilterLimitExceeded")
		}
		return bad("ResourceCountExceeded")
	case fault.Denied:
		return awswire.Error{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation. " + f.Message}
	case fault.Unauthenticated:
		switch f.Resource {
		case "expired-request", "expired-session":
			return bad("RequestExpired")
		}
		// A wrong clock is among these: by AuthFailure the SDKs recognize it and correct theirs.
		return awswire.Error{Status: http.StatusUnauthorized, Code: "AuthFailure"}
	case fault.Unavailable:
		return awswire.Error{Status: http.StatusServiceUnavailable, Code: "Unavailable"}
	case fault.Throttled:
		return awswire.Error{Status: http.StatusServiceUnavailable, Code: "RequestLimitExceeded"}
	}
	return awswire.Error{Status: http.StatusInternalServerError, Code: "InternalError"}
}

func invalid(f *fault.Error) awswire.Error {
	e := awswire.Error{Status: http.StatusBadRequest, Code: "InvalidParameterValue"}
	switch f.Resource {
	case "dry-run":
		e = awswire.Error{Status: http.StatusPreconditionFailed, Code: "DryRunOperation"}
	case "region":
		e = awswire.Error{Status: http.StatusUnauthorized, Code: "AuthFailure"}
	case "request":
		e.Code = "InvalidRequest"
	case "operation":
		e.Code = "InvalidAction"
	case "parameter":
		e.Code = "UnknownParameter"
	case "parameters":
		e.Code = "InvalidParameterCombination"
	case "instance-type":
		e.Code = "InvalidInstanceType"
	case "page-token":
		e.Code = "InvalidPaginationToken"
	}
	return e
}

package ec2

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf returns EC2's error for a fault. CloudTrail records the code with a prefix that says whose error it was.
// Throttling is the client's error, although its status says otherwise.
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
	if f.Code != "" { // the resource's kind has determined it
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
		switch f.Subject {
		case fault.Tag:
			return bad("TagLimitExceeded")
		case fault.Filter:
			return bad("FilterLimitExceeded")
		}
		return bad("ResourceCountExceeded")
	case fault.Denied:
		return awswire.Error{
			Status: http.StatusForbidden, Code: "UnauthorizedOperation",
			Message: "You are not authorized to perform this operation. " + f.Message,
		}
	case fault.Unauthenticated:
		switch f.Subject {
		case fault.ExpiredRequest, fault.ExpiredSession:
			return bad("RequestExpired")
		}
		// A wrong clock is one of these. The SDKs recognize it by AuthFailure and correct theirs.
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
	switch f.Subject {
	case fault.DryRun:
		e = awswire.Error{Status: http.StatusPreconditionFailed, Code: "DryRunOperation"}
	case fault.Region:
		e = awswire.Error{Status: http.StatusUnauthorized, Code: "AuthFailure"}
	case fault.Request:
		e.Code = "InvalidRequest"
	case fault.Operation:
		e.Code = "InvalidAction"
	case fault.Parameter:
		e.Code = "UnknownParameter"
	case fault.Parameters:
		e.Code = "InvalidParameterCombination"
	case fault.InstanceType:
		e.Code = "InvalidInstanceType"
	case fault.PageToken:
		e.Code = "InvalidPaginationToken"
	}
	return e
}

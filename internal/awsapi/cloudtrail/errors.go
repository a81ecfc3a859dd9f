package cloudtrail

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf returns CloudTrail's error for a fault.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html#API_LookupEvents_Errors
func errorOf(f *fault.Error) awswire.Error {
	if e, ok := awsapi.JSONError(f); ok {
		return e
	}
	switch f.Kind {
	case fault.Invalid, fault.Missing, fault.Unsupported:
		return awswire.Error{Status: http.StatusBadRequest, Code: invalid(f.Subject)}
	case fault.Denied:
		return awswire.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException"}
	case fault.Throttled:
		return awswire.Error{Status: http.StatusBadRequest, Code: "ThrottlingException"}
	case fault.Unavailable:
		return awswire.Error{Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable"}
	}
	return awswire.Error{Status: http.StatusInternalServerError, Code: "InternalFailure"}
}

func invalid(subject fault.Subject) string {
	switch subject {
	case fault.LookupAttribute:
		return "InvalidLookupAttributesException"
	case fault.TimeRange:
		return "InvalidTimeRangeException"
	case fault.PageSize:
		return "InvalidMaxResultsException"
	case fault.PageToken:
		return "InvalidNextTokenException"
	case fault.EventCategory:
		return "InvalidEventCategoryException"
	}
	return "InvalidParameterException"
}

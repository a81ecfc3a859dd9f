package iam

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/fault"
)

// errorOf returns IAM's error for a fault. Each operation's page lists its errors, for example
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html#API_CreateUser_Errors
func errorOf(f *fault.Error) awswire.Error {
	switch f.Kind {
	case fault.NotFound:
		return awswire.Error{Status: http.StatusNotFound, Code: "NoSuchEntity"}
	case fault.Exists:
		return awswire.Error{Status: http.StatusConflict, Code: "EntityAlreadyExists"}
	case fault.InUse, fault.WrongState:
		return awswire.Error{Status: http.StatusConflict, Code: "DeleteConflict"}
	case fault.Limit:
		return awswire.Error{Status: http.StatusConflict, Code: "LimitExceeded"}
	case fault.Invalid:
		switch f.Subject {
		case fault.PolicyDocument:
			return awswire.Error{Status: http.StatusBadRequest, Code: "MalformedPolicyDocument"}
		case fault.ARN, fault.TagKeys:
			return awswire.Error{Status: http.StatusBadRequest, Code: "InvalidInput"}
		}
	case fault.Internal:
		return awswire.Error{Status: http.StatusInternalServerError, Code: "ServiceFailure"}
	}
	return awsapi.QueryError(f)
}

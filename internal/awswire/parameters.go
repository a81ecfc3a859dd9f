package awswire

import (
	"reflect"
	"strings"
	"time"
)

// hidden stands where a secret was, in AWS's own words.
const hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// secret reports whether the trail must not show a field, by its Go name.
func secret(field string) bool {
	switch field {
	case "Password", "OldPassword", "NewPassword", "SecretAccessKey", "SessionToken", "Token", "TokenCode",
		"AuthenticationCode1", "AuthenticationCode2", "KeyMaterial", "PrivateKey", "UserData":
		return true
	}
	return strings.HasSuffix(field, "Secret")
}

// Parameters renders an Input or an Output for the trail (requestParameters, responseElements): Go's field names
// with the first letter in lower case (SSHPublicKey is sSHPublicKey), values as plain JSON types, times in ISO
// 8601, what is not set left out and secrets replaced by HIDDEN_DUE_TO_SECURITY_REASONS. It is nil for an input
// of which nothing is set.
func Parameters(in any) map[string]any {
	v := reflect.Indirect(reflect.ValueOf(in))
	if v.Kind() != reflect.Struct {
		return nil
	}
	fields := parameterFields(v)
	if len(fields) == 0 {
		return nil
	}
	return fields
}

func parameterFields(v reflect.Value) map[string]any {
	fields := map[string]any{}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.IsExported() || f.Name == "ResultMetadata" || v.Field(i).IsZero() {
			continue
		}
		name := strings.ToLower(f.Name[:1]) + f.Name[1:]
		if secret(f.Name) {
			fields[name] = hidden
			continue
		}
		fields[name] = parameter(v.Field(i))
	}
	return fields
}

// parameter renders one value.
func parameter(v reflect.Value) any {
	v = reflect.Indirect(v)
	if !v.IsValid() {
		return nil
	}
	if at, ok := v.Interface().(time.Time); ok {
		return timeText(at)
	}
	switch v.Kind() {
	case reflect.Struct:
		return parameterFields(v)
	case reflect.Slice:
		values := make([]any, v.Len())
		for i := range values {
			values[i] = parameter(v.Index(i))
		}
		return values
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return v.Bool()
	case reflect.Int, reflect.Int32, reflect.Int64:
		return v.Int()
	}
	return nil
}

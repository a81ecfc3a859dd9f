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

// recorder renders inputs as CloudTrail writes requestParameters.
type recorder struct {
	in   *plans
	sets bool // lists are EC2's sets: {"instancesSet": {"items": [{"instanceId": "i-1"}]}}
}

// Parameters implements Codec.
func (r recorder) Parameters(in any) (map[string]any, error) {
	v, shape, err := r.in.ofPointer(in)
	if err != nil {
		return nil, err
	}
	fields := r.fields(v, shape)
	if len(fields) == 0 {
		return nil, nil
	}
	return fields, nil
}

func (r recorder) fields(v reflect.Value, s *shape) map[string]any {
	fields := map[string]any{}
	for _, f := range s.fields {
		value := v.Field(f.index)
		if value.IsZero() {
			continue
		}
		name := lowerFirst(f.name)
		switch {
		case secret(f.name):
			fields[name] = hidden
		case f.shape.kind == list && r.sets:
			fields[setName(f.wire)] = r.set(value, f)
		default:
			fields[name] = r.value(reflect.Indirect(value), f.shape)
		}
	}
	return fields
}

func (r recorder) value(v reflect.Value, s *shape) any {
	switch s.kind {
	case structure:
		return r.fields(v, s)
	case list:
		return r.items(v, s, func(item any) any { return item })
	case boolean:
		return v.Bool()
	case integer:
		return v.Int()
	case timestamp:
		return timeText(v.Interface().(time.Time))
	default:
		return v.String()
	}
}

func (r recorder) items(v reflect.Value, s *shape, wrap func(item any) any) []any {
	items := make([]any, v.Len())
	for i := range items {
		items[i] = wrap(r.value(reflect.Indirect(v.Index(i)), s.elem))
	}
	return items
}

// set renders a list of EC2's. An item that is no structure becomes one: {"instanceId": "i-1"}.
func (r recorder) set(v reflect.Value, f field) map[string]any {
	if v.Len() == 0 {
		return map[string]any{}
	}
	return map[string]any{"items": r.items(v, f.shape, func(item any) any {
		if f.shape.elem.kind == structure {
			return item
		}
		return map[string]any{lowerFirst(f.wire): item}
	})}
}

// setName is what CloudTrail calls an EC2 request's list, as EC2's XML does: the thing in the singular and "Set". wire
// is the name of an item in a request: InstanceId, Filter.
func setName(wire string) string {
	switch wire {
	case "InstanceId", "ImageId", "ResourceId": // the oldest sets are plural
		return lowerFirst(strings.TrimSuffix(wire, "Id")) + "sSet"
	case "ZoneName":
		return "availabilityZoneSet"
	case "ZoneId":
		return "availabilityZoneIdSet"
	}
	return lowerFirst(strings.TrimSuffix(strings.TrimSuffix(wire, "Id"), "Name")) + "Set"
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }

package awswire

import (
	"reflect"
	"strings"
	"time"
)

// Hidden replaces a secret in the parameters of a request, in AWS's own words.
const Hidden = "HIDDEN_DUE_TO_SECURITY_REASONS"

// secret reports whether the trail must not show a field, by its Go name. Some services have schemas that mark
// secrets. EC2 has none, and STS's do not mark session tokens.
func secret(field string) bool {
	switch field {
	case "Password", "OldPassword", "NewPassword", "SecretAccessKey", "SessionToken", "Token", "TokenCode",
		"AuthenticationCode1", "AuthenticationCode2", "KeyMaterial", "PrivateKey", "UserData":
		return true
	}
	return strings.HasSuffix(field, "Secret")
}

// Parameters implements Codec.
func (c codec) Parameters(in any) (map[string]any, error) {
	v, shape, err := c.in.ofPointer(in)
	if err != nil {
		return nil, err
	}
	return orNil(rendering{ec2: c.ec2}.fields(v, shape)), nil
}

// ResponseElements implements Codec.
func (c codec) ResponseElements(requestID string, out any) (map[string]any, error) {
	v, shape, err := c.out.ofPointer(out)
	if err != nil {
		return nil, err
	}
	elements := rendering{ec2: c.ec2, response: true}.fields(v, shape)
	if c.ec2 {
		elements["requestId"] = requestID
		if len(shape.fields) == 0 { // as AWS answers CreateTags, among others
			elements["_return"] = true
		}
	}
	return orNil(elements), nil
}

func orNil(fields map[string]any) map[string]any {
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// rendering turns a request or a response into JSON. EC2's lists become sets:
// {"instancesSet": {"items": [{"instanceId": "i-1"}]}}.
type rendering struct{ ec2, response bool }

func (r rendering) fields(v reflect.Value, s *shape) map[string]any {
	fields := map[string]any{}
	for _, f := range s.fields {
		value, ok := given(v.Field(f.index))
		if !ok || !r.response && v.Field(f.index).IsZero() {
			continue // a false without a pointer is an answer in a response, and not set in a request
		}
		switch {
		case f.secret && r.response:
		case f.secret:
			fields[lowerFirst(f.wire)] = Hidden
		case r.ec2 && f.shape.kind == list:
			fields[r.setName(f.wire)] = r.set(value, f)
		case r.ec2 && f.wire == "return":
			fields["_return"] = r.value(value, f.shape)
		default:
			fields[lowerFirst(f.wire)] = r.value(value, f.shape)
		}
	}
	return fields
}

func (r rendering) value(v reflect.Value, s *shape) any {
	switch s.kind {
	case structure:
		return r.fields(v, s)
	case list:
		return r.items(v, s)
	case mapping:
		values := map[string]any{}
		for _, e := range entries(v) {
			values[e.key] = r.value(reflect.Indirect(e.value), s.elem)
		}
		return values
	case boolean:
		return v.Bool()
	case integer:
		return v.Int()
	case float:
		return v.Float()
	case timestamp:
		return r.time(v.Interface().(time.Time))
	default:
		return scalarText(v, s.kind)
	}
}

// time renders a time as CloudTrail does. In a response, EC2's format differs from that of other services.
func (r rendering) time(t time.Time) any {
	switch {
	case !r.response:
		return timeText(t)
	case r.ec2:
		return t.UnixMilli()
	}
	return t.UTC().Format("Jan 2, 2006 3:04:05 PM")
}

func (r rendering) items(v reflect.Value, s *shape) []any {
	items := make([]any, v.Len())
	for i := range items {
		items[i] = r.value(reflect.Indirect(v.Index(i)), s.elem)
	}
	return items
}

// set renders one of EC2's lists. In a request, an item that is not a structure becomes one: {"instanceId": "i-1"}.
func (r rendering) set(v reflect.Value, f field) map[string]any {
	items := r.items(v, f.shape)
	if len(items) == 0 {
		return map[string]any{}
	}
	for i, item := range items {
		switch fields, isStructure := item.(map[string]any); {
		case r.response:
		case !isStructure:
			items[i] = map[string]any{lowerFirst(strings.TrimPrefix(f.wire, "Security")): item}
		case f.wire == "TagSpecification": // its tags are not a set
			if tags, ok := fields["tagSet"].(map[string]any); ok {
				fields["tags"] = tags["items"]
				delete(fields, "tagSet")
			}
		}
	}
	return map[string]any{"items": items}
}

// setName returns CloudTrail's name for an EC2 list. In a response, wire is that name already: "instancesSet". In a
// request, wire names an item, such as InstanceId or Filter. The set then has the name that it has in EC2's XML: the
// thing in the singular, and "Set". A plural name stays as it is: IpPermissions.
func (r rendering) setName(wire string) string {
	switch {
	case r.response:
		return wire
	case wire == "InstanceId", wire == "ImageId", wire == "ResourceId": // the oldest sets are plural
		return lowerFirst(strings.TrimSuffix(wire, "Id")) + "sSet"
	case wire == "ZoneName":
		return "availabilityZoneSet"
	case wire == "ZoneId":
		return "availabilityZoneIdSet"
	case wire == "SecurityGroupId":
		return "groupSet"
	case wire == "BlockDeviceMapping", strings.HasSuffix(wire, "s"):
		return lowerFirst(wire)
	}
	return lowerFirst(strings.TrimSuffix(strings.TrimSuffix(wire, "Id"), "Name")) + "Set"
}

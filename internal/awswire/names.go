package awswire

import (
	_ "embed"
	"fmt"
	"reflect"
	"strings"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/traits"
)

// The SDK has the wire names of fields in one of two places. Its newer modules (iam, sts, ec2instanceconnect,
// lightsail) have schemas, which their types hand to a serializer. Its older ones (ec2, cloudtrail) have the names in
// the code of their serializers and deserializers, from which go generate makes names.txt. Fields of our own types
// have their Go names on the wire.

// names has a line for each shape of the older modules that has fields whose names follow no rule:
// "request ec2/types.Filter Values=Value". If the elements of a list have another name than the protocol's, it follows
// a slash: "Groups=groupSet/groupId".
//
//go:embed names.txt
var names string

// direction selects one half of names. A shape has other names in a request than in a response ("Tag.1.Key" and
// "<tagSet><item><key>").
type direction string

const (
	inRequest  direction = "request"
	inResponse direction = "response"
)

// model fills in what the API's model says about a field.
type model func(*field) error

// model returns the model of a struct. schema is nil if the struct has none.
func (d direction) model(t reflect.Type, schema *smithy.Schema) model {
	if schema != nil {
		return bySchema(schema)
	}
	return d.byName(t)
}

// schemaOf returns the schema of a struct that serializes itself. It returns nil for any other struct, and for an
// Output that the API does not have.
func schemaOf(t reflect.Type) *smithy.Schema {
	var found schemaFinder
	if s, ok := reflect.New(t).Interface().(smithy.Serializable); ok {
		s.Serialize(&found)
	}
	return found.schema
}

// schemaFinder receives the schema of a struct that serializes itself and has no field set.
type schemaFinder struct {
	smithy.ShapeSerializer
	schema *smithy.Schema
}

func (f *schemaFinder) WriteStruct(s *smithy.Schema) { f.schema = s }
func (*schemaFinder) CloseStruct()                   {}

// Fields without a pointer are written even if they are zero. These methods ignore them.
func (*schemaFinder) WriteBool(*smithy.Schema, bool)       {}
func (*schemaFinder) WriteInt32(*smithy.Schema, int32)     {}
func (*schemaFinder) WriteInt64(*smithy.Schema, int64)     {}
func (*schemaFinder) WriteFloat32(*smithy.Schema, float32) {}
func (*schemaFinder) WriteFloat64(*smithy.Schema, float64) {}

// bySchema returns the model of a struct with a schema, whose members begin in upper or in lower case.
func bySchema(schema *smithy.Schema) model {
	return func(f *field) error {
		member := schema.Member(f.name)
		if member == nil {
			member = schema.Member(lowerFirst(f.name))
		}
		if member == nil {
			return fmt.Errorf("the schema %s has no such member", schema.ID())
		}
		_, sensitive := smithy.SchemaTrait[*traits.Sensitive](member)
		f.wire, f.secret = member.MemberName(), sensitive || secret(f.name)
		return nil
	}
}

const sdk = "github.com/aws/aws-sdk-go-v2/service/"

// byName returns the model of any other struct. Names in EC2's responses begin in lower case.
func (d direction) byName(t reflect.Type) model {
	shape, isSDK := strings.CutPrefix(t.PkgPath(), sdk)
	renamed := map[string]string{}
	if isSDK {
		_, after, _ := strings.Cut(names, "\n"+string(d)+" "+shape+"."+t.Name()+" ")
		line, _, _ := strings.Cut(after, "\n")
		for word := range strings.FieldsSeq(line) {
			name, wire, _ := strings.Cut(word, "=")
			renamed[name] = wire
		}
	}
	lower := d == inResponse && (shape == "ec2" || shape == "ec2/types")
	return func(f *field) error {
		f.wire, f.item, _ = strings.Cut(renamed[f.name], "/")
		switch {
		case f.wire != "":
		case lower:
			f.wire = lowerFirst(f.name)
		default:
			f.wire = f.name
		}
		f.secret = secret(f.name)
		return nil
	}
}

func lowerFirst(name string) string { return strings.ToLower(name[:1]) + name[1:] }

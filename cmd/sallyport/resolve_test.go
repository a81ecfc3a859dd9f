package main

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func machine(id, name string, state types.InstanceStateName) types.Instance {
	i := types.Instance{InstanceId: aws.String(id), State: &types.InstanceState{Name: state}}
	if name != "" {
		i.Tags = []types.Tag{
			{Key: aws.String("env"), Value: aws.String(name)}, {Key: aws.String("Name"), Value: aws.String(name)},
		}
	}
	return i
}

func TestResolve(t *testing.T) {
	const running, gone = types.InstanceStateNameRunning, types.InstanceStateNameTerminated
	machines := []types.Instance{
		machine("i-0aaa1111111111111", "web-1", running),
		machine("i-0aab2222222222222", "web-2", running),
		machine("i-0bbb3333333333333", "web", running),
		machine("i-0ccc4444444444444", "twin", running),
		machine("i-0ddd5555555555555", "twin", types.InstanceStateNameStopped),
		machine("i-0eee6666666666666", "old", gone),
		machine("i-0fff7777777777777", "", running),
	}
	for name, want := range map[string]string{
		"i-0aaa1111111111111": "i-0aaa1111111111111", // id
		"web-2":               "i-0aab2222222222222", // name
		"web":                 "i-0bbb3333333333333", // a whole name takes precedence over the beginning of others
		"i-0b":                "i-0bbb3333333333333", // beginning of an id
		"i-0f":                "i-0fff7777777777777",
		"i-0eee6666666666666": "i-0eee6666666666666", // terminated, by id
	} {
		got, err := resolve(machines, name)
		if err != nil || aws.ToString(got.InstanceId) != want {
			t.Errorf("%q is %s, %v; want %s", name, aws.ToString(got.InstanceId), err, want)
		}
	}
	for name, complaint := range map[string]string{
		"web-":   "2 instances begin with",
		"twin":   `2 instances are named "twin": i-0ccc4444444444444 (twin), i-0ddd5555555555555 (twin, stopped). Use an id`,
		"i-0aa":  "Use an id",
		"old":    `no instance is "old"`,
		"absent": "i-0aaa1111111111111 (web-1)",
		"":       "no instance is named",
	} {
		if _, err := resolve(machines, name); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v, want something about %q", name, err, complaint)
		}
	}
	if _, err := resolve(nil, "x"); err == nil || !strings.Contains(err.Error(), "host-token") {
		t.Errorf("nothing there: %v", err)
	}
}

package main

import "testing"

func TestOnLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"https://127.0.0.1:7474": true, "https://[::1]:7474": true, "https://localhost:7474": true,
		"https://bastion.example.com:7474": false, "https://192.0.2.1:7474": false, "": false,
	} {
		if got := onLoopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

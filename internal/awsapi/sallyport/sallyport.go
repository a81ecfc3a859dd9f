// Package sallyport serves what AWS has no API for: enrolling hosts, and the facts about them that a careful SSH
// client needs. It is a service like AWS's: JSON 1.1 with the target prefix Target, signed for the service Name, and
// governed by the same policies.
package sallyport

import (
	"github.com/sallyport/sallyport/internal/awsapi"
	"github.com/sallyport/sallyport/internal/awswire"
	"github.com/sallyport/sallyport/internal/compute"
	"github.com/sallyport/sallyport/internal/hosts"
)

// How a client reaches the service.
const (
	Name   = "sallyport"          // in a signature's credential scope
	Target = "Sallyport_20261122" // X-Amz-Target is this, a dot and the operation
)

// Place is what a host needs to find and trust this server.
type Place struct {
	Server      string // the server's URL for hosts: https://HOST:PORT
	Fingerprint string // of the certificate authority, as ca.Fingerprint gives it
}

type api struct {
	hosts     *hosts.Service
	instances *compute.Service
	place     Place
}

// New returns the service.
func New(machines *hosts.Service, instances *compute.Service, place Place) awsapi.Service {
	a := api{hosts: machines, instances: instances, place: place}
	return awsapi.Service{
		Name:       Name,
		Source:     "sallyport",
		Codec:      awswire.JSON(Target, "message"),
		Operations: []awsapi.Operation{a.createHostToken(), a.describeHosts()},
		Error:      errorOf,
	}
}

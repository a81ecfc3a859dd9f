// Package keyblob builds, signs and verifies the text by which a host learns of a grant.
package keyblob

// Blob is a signed grant.
type Blob struct {
	Text      string `json:"text"`      // what is signed
	Signature []byte `json:"signature"` // over Text
	Signer    []byte `json:"signer"`    // DER of the signer's certificate
}

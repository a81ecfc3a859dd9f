package sshkey

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
)

// oneLine returns the line that holds the key. It trims the text, converts the SSH2 form, and refuses everything else
// with an error that says what the text is.
func oneLine(text string) (string, error) {
	text = strings.TrimRight(strings.TrimLeft(text, " \t\r\n"), " \t\r\n")
	first, _, several := strings.Cut(text, "\n")
	switch {
	case text == "":
		return "", invalid("The SSH public key is empty. Give the line of a .pub file, as in \"ssh-ed25519 AAAA… comment\".")
	case strings.Contains(text, "PRIVATE KEY") || strings.HasPrefix(text, "PuTTY-User-Key-File"):
		return "", invalid("This is a private key, which must never leave your machine. " +
			"Give the public key, the file whose name ends in .pub (ssh-keygen -y -f KEYFILE prints it), " +
			"and consider this key disclosed: replace it.")
	case strings.HasPrefix(first, ssh2Begin):
		return fromSSH2(text)
	case strings.HasPrefix(text, "-----BEGIN"):
		return "", invalid("This is a PEM file, not an SSH public key. Convert it: " +
			"ssh-keygen -i -m PKCS8 -f FILE (\"BEGIN PUBLIC KEY\") or ssh-keygen -i -m PEM -f FILE (\"BEGIN RSA PUBLIC KEY\").")
	case several || strings.Contains(text, "\r"):
		return "", severalLines(text)
	}
	return text, nil
}

// severalLines returns the error for a text of several lines: several keys, or one that was broken over lines.
func severalLines(text string) error {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	keys := 0
	for _, line := range lines {
		if kind, _, _ := strings.Cut(line, " "); isSupported(kind) {
			keys++
		}
	}
	if keys > 1 {
		return invalid("There are %d SSH public keys in %d lines; give one of them.", keys, len(lines))
	}
	return invalid("The SSH public key is spread over %d lines: it must be a single line. "+
		"Remove the line breaks within it, or give the file instead of pasting it, "+
		"as in --ssh-public-key file://~/.ssh/id_ed25519.pub.", len(lines))
}

// The first and last lines of the SSH2 form (RFC 4716), which EC2 Instance Connect documents beside OpenSSH's.
// Headers and wrapped base64 stand between them.
const (
	ssh2Begin = "---- BEGIN SSH2 PUBLIC KEY ----"
	ssh2End   = "---- END SSH2 PUBLIC KEY ----"
)

// fromSSH2 converts the SSH2 form to an OpenSSH line. It drops the headers, which are for people.
func fromSSH2(text string) (string, error) {
	bad := invalid("The SSH2 public key cannot be read. Convert it to OpenSSH's form: ssh-keygen -i -f FILE.")
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if len(lines) < 3 || lines[0] != ssh2Begin || lines[len(lines)-1] != ssh2End {
		return "", bad
	}
	var blob strings.Builder
	continued := false
	for _, line := range lines[1 : len(lines)-1] {
		if isHeader := continued || strings.Contains(line, ":"); isHeader {
			if blob.Len() > 0 {
				return "", bad
			}
			continued = strings.HasSuffix(line, `\`)
			continue
		}
		blob.WriteString(strings.TrimSpace(line))
	}
	wire, err := base64.StdEncoding.DecodeString(blob.String())
	if err != nil || len(wire) < 4 {
		return "", bad
	}
	// The data begins with the length of the type's name, and the name.
	length := binary.BigEndian.Uint32(wire)
	if uint64(length) > uint64(len(wire)-4) {
		return "", bad
	}
	kind := string(wire[4 : 4+length])
	if strings.ContainsAny(kind, " \t\r\n") {
		return "", bad
	}
	return kind + " " + blob.String(), nil
}

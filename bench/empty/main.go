// Command empty does nothing. It is what any static Go program takes to run, and so the baseline of the keys helper.
package main

func main() {}

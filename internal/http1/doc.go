// Package http1 speaks HTTP/1.1 on both sides of a gateway: a server that reads requests
// into views over one pooled buffer, and a client that keeps connections to upstreams.
//
// It owns framing, connections and their limits. It refuses every message of which two
// readers could think differently, where net/http repairs or guesses; each refusal ends the
// connection. What both read, they read alike (FuzzRequest, FuzzReply). The differences:
//
//	message                                            net/http          here
//	a line that ends with LF alone                     read              refused
//	a field that goes on in the next line              joined            refused
//	Content-Length beside Transfer-Encoding            length dropped    refused
//	the same Content-Length twice                      read              refused
//	Transfer-Encoding in HTTP/1.0                      ignored           refused
//	a blank behind a chunk's size, an empty extension  read              refused
//	trailers that were not declared                    read              checked and dropped
//	Host empty or missing, with sub-delimiters, %xx    read              refused
//	an empty port, a port above 65535                  read              refused
//	an absolute target whose host is not Host          target wins       refused
//	an absolute target of another scheme, with a user  read              refused
//	8-bit characters or a fragment in a target         read              refused
//	"*" for another method than OPTIONS                read              refused
//	CONNECT                                            given to handler  refused, 501
//	Upgrade: h2c                                       can be hijacked   taken out, HTTP/1.1 goes on
//	Upgrade to anything else                           can be hijacked   taken out, the answer is the last
//	Connection that is no list of tokens               read              refused
//	an Expect that is not 100-continue                 417               417
//	one empty line before a request                    after POST only   skipped
//	more than 128 fields, a target above 16 KiB        read              refused, 431 and 414
//	a body that was asked for by 100-continue, unread  connection ends   connection ends
//	an answer with a status of 600 or more             read              refused
//	an answer 101 that was not asked for               given on          refused
//	an answer of a coding that is not chunked          read to the end   refused
//
// [Bridge] serves handlers of net/http over the same connections.
package http1

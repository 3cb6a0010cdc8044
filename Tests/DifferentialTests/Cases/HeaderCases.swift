// Section 6: header operations on entries and destinations.

func headerCases() throws -> [Case] {
    try operations() + levels() + split() + appending() + authorities() + formatters() + localAnswers()
}

/// One entry to the first echo with header operations.
private func edits(_ headers: String) -> String {
    "- {headers: {\(headers)}, route: [{destination: {host: one.test}}]}"
}

private func operations() throws -> [Case] {
    [
        try .edge(
            "6 within a level: removes, then sets, then adds",
            edits("request: {remove: [x-a], set: {x-a: \"1\"}, add: {x-a: \"2\"}}"),
            Ask("/", ["x-a: 0", "x-a: 00"], "> x-a: 1", "> x-a: 2", "!> x-a: 0")),
        try .edge(
            "6 set: all lines are replaced by one", edits("request: {set: {x-a: new}}"),
            Ask("/", ["x-a: 1", "X-A: 2"], "> x-a: new", "!> x-a: 1", "!> x-a: 2")),
        try .edge(
            "6 add: a new line, those that exist stay", edits("request: {add: {x-a: new}}"),
            Ask("/", ["x-a: 1"], "> x-a: 1", "> x-a: new")),
        try .edge(
            "6 values are computed from what removes left",
            edits("request: {remove: [x-a], set: {x-new: \"%REQ(x-a)%\", x-b: \"[%REQ(x-a)%]\"}}"),
            Ask("/", ["x-a: 1", "x-b: 2"], "!> x-new", "!> x-a")),
        try .edge(
            "6 one operation does not see the result of another",
            edits("request: {set: {x-a: new, x-b: \"%REQ(x-a)%\"}}"),
            Ask("/", ["x-a: old"], "> x-a: new", "> x-b: old")),
        try .edge(
            "6 response operations",
            edits("response: {remove: [x-up], set: {x-a: set}, add: {x-a: added, set-cookie: three=3}}"),
            Ask(
                "/", "!< x-up:", "< x-a: set", "< x-a: added", "< set-cookie: up=1",
                "< set-cookie: three=3")),
        try .edge(
            "6 names are sent in lower case", edits("request: {set: {X-MiXed: \"1\"}}"),
            Ask("/", "> x-mixed: 1")),
        try .edge(
            "6 names that begin with : are skipped",
            edits("request: {set: {\":method\": PUT, x-a: \"1\"}, remove: [\":path\"]}"),
            Ask("/", "> GET / HTTP/1.1", "> x-a: 1")),
    ]
}

private func levels() throws -> [Case] {
    [
        try .edge(
            "6 one destination: both levels are one, the destination's set wins",
            """
            - headers: {request: {set: {x-a: entry, x-b: entry}, remove: [x-c]}}
              route:
              - destination: {host: one.test}
                headers: {request: {set: {x-a: destination}, add: {x-d: destination}}}
            """,
            Ask("/", ["x-c: 1"], "> x-a: destination", "> x-b: entry", "> x-d: destination", "!> x-c")),
        try .edge(
            "6 several destinations: the entry's set wins, its remove takes what they added",
            """
            - headers: {request: {set: {x-a: entry}, remove: [x-d]}, response: {set: {x-e: entry}}}
              route:
              - destination: {host: one.test}
                weight: 1
                headers: {request: {set: {x-a: destination}, add: {x-d: d}}, response: {set: {x-e: d}}}
              - destination: {host: one.test}
                weight: 1
                headers: {request: {set: {x-a: destination}, add: {x-d: d}}, response: {set: {x-e: d}}}
            """, Ask("/", "> x-a: entry", "!> x-d", "< x-e: entry")),
    ]
}

private func split() throws -> [Case] {
    [
        try .edge(
            "6 several destinations of which one is left: still two levels",
            """
            - headers: {request: {set: {x-a: entry}, remove: [x-d]}, response: {set: {x-e: entry}}}
              route:
              - destination: {host: one.test}
                weight: 1
                headers: {request: {set: {x-a: destination, host: own.test}, add: {x-d: d}}}
              - destination: {host: two.test}
                weight: 0
            """,
            Ask("/", "> x-a: entry", "!> x-d", "< x-e: entry", "> host: own.test", "!> x-envoy-original-host")
        ),
        try .edge(
            "differs: a host that the entry and one of several destinations set",
            """
            - rewrite: {authority: entry.test}
              route:
              - {destination: {host: one.test}, weight: 1, headers: {request: {set: {host: own.test}}}}
              - {destination: {host: one.test}, weight: 1, headers: {request: {set: {host: own.test}}}}
            """, Ask("/", "> host: entry.test", "> x-envoy-original-host: $HOST")
        ).differing("tells the destination's", envoy: "> x-envoy-original-host: own.test"),
    ]
}

private func appending() throws -> [Case] {
    [
        try .edge(
            "6 add of set-cookie: a line of its own", edits("response: {add: {set-cookie: \"c=1; Path=/\"}}"),
            Ask("/", "< set-cookie: c=1; Path=/", "< set-cookie: up=1", "< set-cookie: two=2")),
        try .edge(
            "6 add to what Envoy keeps in one place: joined", edits("request: {add: {user-agent: more}}"),
            Ask("/", ["user-agent: curl"], "> user-agent: curl,more")),
        try .edge(
            "29 add of cookie: one more line", edits("request: {add: {cookie: b=2}}"),
            Ask("/", ["cookie: a=1"], "> cookie: a=1", "> cookie: b=2")),
    ]
}

private func authorities() throws -> [Case] {
    [
        try .edge(
            "6 set of host: an authority rewrite", edits("request: {set: {Host: other.test}}"),
            Ask("/", "> host: other.test")),
        try .edge(
            "6 set of :authority: an authority rewrite",
            edits("request: {set: {\":authority\": other.test}}"),
            Ask("/", "> host: other.test")),
        try .edge(
            "6 rewrite.authority beats a set host",
            """
            - headers: {request: {set: {host: set.test}}}
              rewrite: {authority: rewritten.test}
              route: [{destination: {host: one.test}}]
            """, Ask("/", "> host: rewritten.test")),
        try .edge(
            "6 several destinations: a host of their own",
            """
            - route:
              - {destination: {host: one.test}, weight: 1, headers: {request: {set: {host: own.test}}}}
              - {destination: {host: one.test}, weight: 1, headers: {request: {set: {host: own.test}}}}
            """, Ask("/", "> host: own.test", "!> x-envoy-original-host")),
        try .edge(
            "6 a destination's host counts if the entry sets none",
            """
            - match: [{uri: {prefix: /both}}]
              headers: {request: {set: {host: entry.test}}}
              route: [{destination: {host: one.test}, headers: {request: {set: {host: destination.test}}}}]
            - route: [{destination: {host: one.test}, headers: {request: {set: {host: destination.test}}}}]
            """, Ask("/both", "> host: entry.test"), Ask("/", "> host: destination.test")),
    ]
}

private func formatters() throws -> [Case] {
    [
        try .edge(
            "6 formatters of the request",
            edits(
                """
                request: {set: {x-1: "%REQ(x-a)%", x-2: "%REQ(x-none?x-a)%", x-3: "%REQ(x-a):2%",
                x-4: "%PROTOCOL%", x-5: "%REQ(:METHOD)% %REQ(:PATH)%",
                x-6: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", x-7: "%ROUTE_NAME%.", x-8: "a%%b"}}
                """),
            Ask(
                "/p?q=1", ["x-a: abc"], "> x-1: abc", "> x-2: abc", "> x-3: ab", "> x-4: HTTP/1.1",
                "> x-5: GET /p?q=1", "> x-6: 127.0.0.1", "> x-7: .", "> x-8: a%b")),
        try .edge(
            "6 formatters of the response",
            edits(
                """
                response: {set: {x-1: "%RESPONSE_CODE%", x-2: "%REQ(x-a)%", x-3: "%RESP(x-up)%",
                x-4: "%UPSTREAM_HOST%"}}
                """),
            Ask("/", ["x-a: abc"], "< x-1: 200", "< x-2: abc", "< x-3: V1")),
        try .edge(
            "6 a value that is empty is neither added nor set",
            edits("request: {set: {x-a: \"%REQ(x-none)%\"}, add: {x-b: \"%REQ(x-none)%\"}}"),
            Ask("/", ["x-a: old"], "> x-a: old", "!> x-b")),
    ]
}

private func localAnswers() throws -> [Case] {
    [
        try .edge(
            "6 response operations on answers of the proxy's own, once a route is chosen",
            """
            - headers: {response: {add: {set-cookie: c=1}, set: {x-new: "1"}}}
              route: [{destination: {host: app.test, subset: empty}}]
            """, Ask("/", "503", "< set-cookie: c=1", "< x-new: 1")),
        try .edge(
            "6 none on 404 without a route",
            """
            - match: [{uri: {exact: /a}}]
              headers: {response: {set: {x-new: "1"}}}
              route: [{destination: {host: one.test}}]
            """, Ask("/b", "404", "!< x-new")),
    ]
}

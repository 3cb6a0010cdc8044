// GET /: the live page for people. One document without external resources; it polls the JSON and metrics
// endpoints of this same server and puts what they say in as text, never as markup.

enum LivePage {
    static var response: AdminResponse {
        var response = AdminResponse(
            200, "text/html; charset=utf-8",
            Array((LivePageMarkup.head + LivePageMarkup.body + LivePageScript.text).utf8))
        response.headers = [
            (
                "content-security-policy",
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                    + "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                    + "frame-ancestors 'none'"
            ),
            ("referrer-policy", "no-referrer"),
        ]
        return response
    }
}

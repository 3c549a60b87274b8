# The binary is static and carries its own certificate authorities, so the image holds nothing else: make image.
FROM scratch
COPY dist/balanceq dist/cms-sim /
USER 65532:65532
ENTRYPOINT ["/balanceq"]
CMD ["run"]
